# Heddle as a container: `docker build -t heddle .` (`podman build --format docker`, or the health check is lost), then
#   docker run --read-only -v heddle:/var/cache/heddle -p 8080:8080 heddle --model BAAI/bge-small-en-v1.5 --allow-pull
#   docker run --read-only -v heddle:/var/cache/heddle -p 8080:80 heddle --model-id BAAI/bge-small-en-v1.5
# The second start line is text-embeddings-router's, and so is its port. Where only root has ports below 1024, as in many
# clusters, it needs another (-e PORT=8080) or --sysctl net.ipv4.ip_unprivileged_port_start=0. Other commands: --entrypoint heddle.
FROM debian:bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
        gcc libc6-dev cmake ninja-build pkg-config python3 \
        libjansson-dev libssl-dev libutf8proc-dev libpcre2-dev libzip-dev libcurl4-openssl-dev libxxhash-dev libmicrohttpd-dev libhiredis-dev zlib1g-dev \
        libsqlite3-dev libxml2-dev libmd4c-dev libstemmer-dev
WORKDIR /src
COPY . .
RUN cmake -G Ninja -B /build -DCMAKE_BUILD_TYPE=Release -DHD_TESTS=OFF -DCMAKE_INSTALL_PREFIX=/usr \
 && cmake --build /build --target heddle_cli \
 && strip -o /heddle /build/heddle

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
        libjansson4 libssl3 libutf8proc2 libpcre2-8-0 libzip4 libcurl4 libxxhash0 libmicrohttpd12 libhiredis0.14 zlib1g \
        libsqlite3-0 libxml2 libmd4c0 libstemmer0d poppler-utils ca-certificates \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/* \
 && groupadd --gid 10001 heddle \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin heddle \
 && install -d -o heddle -g heddle /var/cache/heddle
COPY --from=build /heddle /usr/bin/heddle
# PORT is text-embeddings-router's: it counts when the start line is (--model-id or MODEL_ID).
ENV HEDDLE_HOST=0.0.0.0 HEDDLE_CACHE=/var/cache/heddle PORT=80
USER heddle
WORKDIR /var/cache/heddle
VOLUME /var/cache/heddle
EXPOSE 8080 80
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=5s --interval=10s --timeout=3s --retries=3 CMD ["heddle", "health"]
ENTRYPOINT ["heddle", "serve"]
