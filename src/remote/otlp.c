/* otlp.c - see otlp.h. */
#include "remote/otlp.h"

#include <stdlib.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "remote/http_client.h"

/* ---- settings ---- */

typedef struct reader {
    const char *(*get)(void *data, const char *name);
    void *data;
    hd_arena *arena;
    hd_error *err;
} reader;

static const char *get(const reader *r, const char *name)
{
    const char *value = r->get(r->data, name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* OTEL_EXPORTER_OTLP_TRACES_<what>, else OTEL_EXPORTER_OTLP_<what>. */
static const char *get_exporter(const reader *r, const char *what, const char **name)
{
    *name = hd__arena_printf(r->arena, "OTEL_EXPORTER_OTLP_TRACES_%s", what);
    const char *value = *name != NULL ? get(r, *name) : NULL;
    if (value == NULL && *name != NULL) {
        *name = hd__arena_printf(r->arena, "OTEL_EXPORTER_OTLP_%s", what);
        value = *name != NULL ? get(r, *name) : NULL;
    }
    return value;
}

static hd_status no_memory(const reader *r)
{
    return hd__fail(r->err, HD_ERR_MEMORY, "no memory for the OTEL_ variables");
}

static hd_status read_uint(const reader *r, const char *name, const char *text, uint32_t *value)
{
    char *end;
    if (text == NULL)
        return HD_OK;
    const unsigned long n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n < 1 || n > HD_LIMIT_OTLP_SETTING)
        return hd__fail(r->err, HD_ERR_ARG, "%s is \"%s\", not a number from 1 to %u", name, text, HD_LIMIT_OTLP_SETTING);
    *value = (uint32_t)n;
    return HD_OK;
}

static hd_span trim(hd_span text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = hd__span(text.ptr + 1, text.len - 1);
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Percent-encoding undone, as W3C Baggage has it; NULL without memory, or with a control character in it: such a thing in a
 * header would begin another one. */
static const char *decode(const reader *r, hd_span text, bool *memory)
{
    char *out = hd__arena_alloc(r->arena, text.len + 1);
    *memory = out != NULL;
    size_t n = 0;
    for (size_t i = 0; out != NULL && i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%' && i + 2 < text.len) {
            const char digits[3] = {text.ptr[i + 1], text.ptr[i + 2], '\0'};
            char *end;
            const unsigned long code = strtoul(digits, &end, 16);
            if (end == digits + 2 && digits[0] != '+' && digits[0] != '-' && digits[0] != ' ') {
                c = (char)code;
                i += 2;
            }
        }
        if ((unsigned char)c < ' ' || c == 0x7f)
            return NULL;
        out[n++] = c;
    }
    if (out != NULL)
        out[n] = '\0';
    return out;
}

/* "key=value,key2=value2" into pairs [room]. The values are not repeated in errors: headers hold secrets. */
static hd_status read_pairs(const reader *r, const char *name, const char *text, hd_otlp_pair *pairs, size_t room, size_t *n)
{
    *n = 0;
    hd_span rest = hd__span_of(text);
    while (rest.len > 0) {
        const char *comma = memchr(rest.ptr, ',', rest.len);
        const size_t len = comma != NULL ? (size_t)(comma - rest.ptr) : rest.len;
        const hd_span item = trim(hd__span(rest.ptr, len));
        rest = comma != NULL ? hd__span(comma + 1, rest.len - len - 1) : hd__span(NULL, 0);
        if (item.len == 0)
            continue;
        const char *equals = memchr(item.ptr, '=', item.len);
        const hd_span key = trim(hd__span(item.ptr, equals != NULL ? (size_t)(equals - item.ptr) : 0));
        if (key.len == 0)
            return hd__fail(r->err, HD_ERR_ARG, "%s: item %zu is not key=value", name, *n + 1);
        if (*n == room)
            return hd__fail(r->err, HD_ERR_ARG, "%s has more than %zu items", name, room);
        const hd_span value = hd__span(equals + 1, item.len - (size_t)(equals + 1 - item.ptr));
        bool key_memory, value_memory;
        pairs[*n].key = decode(r, key, &key_memory);
        pairs[*n].value = decode(r, trim(value), &value_memory);
        if (!key_memory || !value_memory)
            return no_memory(r);
        if (pairs[*n].key == NULL || pairs[*n].value == NULL)
            return hd__fail(r->err, HD_ERR_ARG, "%s: item %zu has a control character", name, *n + 1);
        ++*n;
    }
    return HD_OK;
}

static hd_status read_headers(const reader *r, hd_otlp_settings *s)
{
    const char *name, *text = get_exporter(r, "HEADERS", &name);
    hd_otlp_pair pairs[HD_LIMIT_OTLP_PAIRS];
    if (name == NULL)
        return no_memory(r);
    if (text == NULL)
        return HD_OK;
    HD_TRY(read_pairs(r, name, text, pairs, HD_LIMIT_OTLP_PAIRS, &s->n_headers));
    const char **headers = hd__arena_calloc(r->arena, s->n_headers, sizeof *headers);
    for (size_t i = 0; headers != NULL && i < s->n_headers; i++) {
        headers[i] = hd__arena_printf(r->arena, "%s: %s", pairs[i].key, pairs[i].value);
        if (headers[i] == NULL)
            return no_memory(r);
    }
    s->headers = headers;
    return headers != NULL ? HD_OK : no_memory(r);
}

/* service.name is OTEL_SERVICE_NAME, else that of OTEL_RESOURCE_ATTRIBUTES, else "heddle". */
static hd_status read_attributes(const reader *r, hd_otlp_settings *s)
{
    const char *name = "OTEL_RESOURCE_ATTRIBUTES", *text = get(r, name), *service = get(r, "OTEL_SERVICE_NAME");
    hd_otlp_pair *pairs = hd__arena_calloc(r->arena, HD_LIMIT_OTLP_PAIRS + 1, sizeof *pairs);
    size_t n = 0;
    if (pairs == NULL)
        return no_memory(r);
    if (text != NULL)
        HD_TRY(read_pairs(r, name, text, pairs + 1, HD_LIMIT_OTLP_PAIRS, &n));
    s->n_attributes = 1;
    for (size_t i = 1; i <= n; i++) {
        if (strcmp(pairs[i].key, "service.name") != 0)
            pairs[s->n_attributes++] = pairs[i];
        else if (service == NULL && pairs[i].value[0] != '\0')
            service = pairs[i].value;
    }
    pairs[0] = (hd_otlp_pair){"service.name", service != NULL ? service : "heddle"};
    s->attributes = pairs;
    return HD_OK;
}

static hd_status read_sampler(const reader *r, hd_otlp_settings *s)
{
    static const struct {
        const char *name;
        double ratio; /* -1: OTEL_TRACES_SAMPLER_ARG */
        bool ignores_parent;
    } samplers[] = {
        {"always_on", 1.0, true},
        {"always_off", 0.0, true},
        {"traceidratio", -1.0, true},
        {"parentbased_always_on", 1.0, false},
        {"parentbased_always_off", 0.0, false},
        {"parentbased_traceidratio", -1.0, false},
    };
    const char *name = get(r, "OTEL_TRACES_SAMPLER"), *text = get(r, "OTEL_TRACES_SAMPLER_ARG");
    size_t i = 3;
    for (i = name != NULL ? 0 : i; i < sizeof samplers / sizeof *samplers; i++)
        if (name == NULL || strcmp(samplers[i].name, name) == 0)
            break;
    if (i == sizeof samplers / sizeof *samplers)
        return hd__fail(r->err, HD_ERR_ARG,
                        "OTEL_TRACES_SAMPLER is \"%s\", not always_on, always_off or traceidratio, alone or after "
                        "\"parentbased_\"",
                        name);
    s->ignores_parent = samplers[i].ignores_parent;
    s->ratio = samplers[i].ratio;
    if (s->ratio >= 0.0)
        return HD_OK;
    char *end = NULL;
    s->ratio = text != NULL ? strtod(text, &end) : 1.0;
    if (text != NULL && (end == text || *end != '\0' || !(s->ratio >= 0.0 && s->ratio <= 1.0)))
        return hd__fail(r->err, HD_ERR_ARG, "OTEL_TRACES_SAMPLER_ARG is \"%s\", not a number from 0 to 1", text);
    return HD_OK;
}

static hd_status read_url(const reader *r, hd_otlp_settings *s)
{
    const char *name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", *url = get(r, name);
    const char *off = get(r, "OTEL_SDK_DISABLED"), *exporter = get(r, "OTEL_TRACES_EXPORTER");
    if ((off != NULL && strcasecmp(off, "true") == 0) || (exporter != NULL && strcmp(exporter, "none") == 0))
        return HD_OK;
    if (url == NULL) {
        name = "OTEL_EXPORTER_OTLP_ENDPOINT";
        url = get(r, name);
        if (url == NULL)
            return HD_OK;
        const size_t len = strlen(url);
        s->url = hd__arena_printf(r->arena, "%s%sv1/traces", url, url[len - 1] == '/' ? "" : "/");
        if (s->url == NULL)
            return no_memory(r);
    } else {
        s->url = url;
    }
    if (strncasecmp(url, "http://", 7) != 0 && strncasecmp(url, "https://", 8) != 0)
        return hd__fail(r->err, HD_ERR_ARG, "%s is \"%s\": neither http:// nor https://", name, url);
    const char *protocol = get_exporter(r, "PROTOCOL", &name);
    if (protocol != NULL && strcmp(protocol, "http/json") != 0 && strcmp(protocol, "http/protobuf") != 0)
        return hd__fail(r->err, HD_ERR_ARG,
                        "%s is \"%s\": Heddle sends http/json, which collectors take on the port of "
                        "http/protobuf (4318)",
                        name, protocol);
    return HD_OK;
}

hd_status hd__otlp_settings_read(const char *(*get_variable)(void *data, const char *name), void *data, hd_arena *arena,
                                 hd_otlp_settings *settings, hd_error *err)
{
    const reader r = {get_variable, data, arena, err};
    hd_otlp_settings s = {.timeout_ms = 10000};
    HD_TRY(read_url(&r, &s));
    if (s.url != NULL) {
        const char *name, *timeout = get_exporter(&r, "TIMEOUT", &name);
        HD_TRY(read_uint(&r, name, timeout, &s.timeout_ms));
        s.ca_file = get_exporter(&r, "CERTIFICATE", &name);
        HD_TRY(read_headers(&r, &s));
        HD_TRY(read_attributes(&r, &s));
        HD_TRY(read_sampler(&r, &s));
        static const char *const names[] = {"OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
                                            "OTEL_BSP_SCHEDULE_DELAY"};
        uint32_t *const values[] = {&s.queue_size, &s.batch_size, &s.delay_ms};
        for (size_t i = 0; i < 3; i++)
            HD_TRY(read_uint(&r, names[i], get(&r, names[i]), values[i]));
        if (s.queue_size > HD_LIMIT_OTLP_QUEUE)
            return hd__fail(err, HD_ERR_ARG, "%s is %u, the limit is %u", names[0], s.queue_size, HD_LIMIT_OTLP_QUEUE);
    }
    *settings = s;
    return HD_OK;
}

/* ---- sending ---- */

struct hd_otlp {
    const hd_otlp_settings *settings;
    const char **headers; /* [n_headers] the settings' and the content type */
    size_t n_headers;
    hd_http_client *http; /* NULL before the first POST */
};

hd_status hd__otlp_open(const hd_otlp_settings *settings, hd_otlp **otlp_out, hd_error *err)
{
    hd_otlp *otlp = hd__calloc(1, sizeof *otlp);
    const char **headers = hd__calloc(settings->n_headers + 1, sizeof *headers);
    if (otlp == NULL || headers == NULL) {
        hd__free(otlp);
        hd__free(headers);
        return hd__fail(err, HD_ERR_MEMORY, "no memory for an OpenTelemetry exporter");
    }
    for (size_t i = 0; i < settings->n_headers; i++)
        headers[i] = settings->headers[i];
    headers[settings->n_headers] = "Content-Type: application/json";
    otlp->settings = settings;
    otlp->headers = headers;
    otlp->n_headers = settings->n_headers + 1;
    *otlp_out = otlp;
    return HD_OK;
}

void hd__otlp_close(hd_otlp *otlp)
{
    if (otlp == NULL)
        return;
    hd__http_client_close(otlp->http);
    hd__free(otlp->headers);
    hd__free(otlp);
}

typedef struct post {
    hd_buffer answer;
    bool (*go_on)(void *data);
    void *data;
} post;

static hd_status keep_answer(void *data, hd_span bytes, hd_error *err)
{
    post *p = data;
    (void)err;
    if (p->answer.len + bytes.len <= HD_LIMIT_OTLP_REPLY_BYTES) /* a longer one is not what is looked for */
        hd__buffer_append(&p->answer, bytes.ptr, bytes.len);
    return HD_OK;
}

static bool tick(void *data)
{
    const post *p = data;
    return p->go_on(p->data);
}

/* {"partialSuccess": {"rejectedSpans": "3"}}: a 64-bit integer is a string in OTLP/JSON, some send a number. Nothing that
 * is found there makes a body that was taken a failure. */
static uint64_t rejected_spans(hd_span answer)
{
    json_t *root = json_loadb(answer.ptr != NULL ? answer.ptr : "", answer.len, 0, NULL);
    const json_t *n = json_object_get(json_object_get(root, "partialSuccess"), "rejectedSpans");
    long long value = json_is_string(n) ? strtoll(json_string_value(n), NULL, 10) : json_integer_value(n);
    json_decref(root);
    return value > 0 ? (uint64_t)value : 0;
}

hd_status hd__otlp_send(void *sender, hd_span body, bool (*go_on)(void *data), void *data, uint64_t *n_rejected,
                        hd_error *err)
{
    hd_otlp *otlp = sender;
    const hd_otlp_settings *s = otlp->settings;
    if (otlp->http == NULL) {
        const hd_http_client_options options = {
            .connect_timeout_ms = s->timeout_ms, .timeout_ms = s->timeout_ms, .n_tries = 1, .ca_file = s->ca_file};
        HD_TRY(hd__http_client_open(&options, &otlp->http, err));
    }
    post p = {.go_on = go_on, .data = data};
    hd_http_client_response response;
    const hd_http_client_request request = {.url = s->url,
                                            .post = body,
                                            .headers = otlp->headers,
                                            .n_headers = otlp->n_headers,
                                            .body = keep_answer,
                                            .tick = tick,
                                            .data = &p};
    hd_status status = hd__http_client_post(otlp->http, &request, &response, err);
    const uint32_t code = status == HD_OK ? response.status : 0;
    if (code == 408 || code == 429 || code >= 500)
        status = hd__fail(err, HD_ERR_PEER, "%s answers %u", s->url, code);
    else if (status == HD_OK && (code < 200 || code > 299))
        status = hd__fail(err, HD_ERR_FORMAT, "%s answers %u", s->url, code);
    *n_rejected = status == HD_OK ? rejected_spans(hd__buffer_span(&p.answer)) : 0;
    hd__buffer_clear(&p.answer);
    return status;
}
