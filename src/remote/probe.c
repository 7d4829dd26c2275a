/* probe.c - see probe.h. */
#include "remote/probe.h"

#include "remote/curl_library.h"

static size_t drop(const char *bytes, size_t size, size_t n, void *data)
{
    (void)bytes;
    (void)data;
    return size * n;
}

hd_status hd__probe(const char *url, const char *uds_path, uint32_t timeout_ms, hd_error *err)
{
    const hd_curl_library *curl;
    HD_TRY(hd__curl_library_open(&curl, err));
    CURL *easy = curl->easy_init();
    if (easy == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory to ask %s", url);
    CURLcode code = curl->easy_setopt(easy, CURLOPT_URL, url);
    if (code == CURLE_OK && uds_path != NULL)
        code = curl->easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, uds_path);
    if (code == CURLE_OK)
        code = curl->easy_setopt(easy, CURLOPT_PROXY, "");
    if (code == CURLE_OK)
        code = curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    (void)curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    (void)curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl->easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    (void)curl->easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    if (code == CURLE_OK)
        code = curl->easy_perform(easy);
    long answer = 0;
    if (code == CURLE_OK)
        code = curl->easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer);
    curl->easy_cleanup(easy);
    if (code != CURLE_OK)
        return hd__fail(err, HD_ERR_PEER, "%s%s%s: %s", url, uds_path != NULL ? " on " : "",
                        uds_path != NULL ? uds_path : "", curl->easy_strerror(code));
    if (answer < 200 || answer > 299)
        return hd__fail(err, HD_ERR_PEER, "%s: answered %ld", url, answer);
    return HD_OK;
}
