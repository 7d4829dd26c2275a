/* plugin_manifest.c - see plugin_manifest.h.
 *
 * Source: the plugin manifest, schema_version v1, as chatgpt-retrieval-plugin's .well-known/ai-plugin.json has it; its
 * openapi.yaml, which describes /query alone. Addresses begin as the client's Host header and, behind a proxy,
 * X-Forwarded-Proto say.
 */
#include "wire/plugin_manifest.h"

#include "wire/answer.h"

/* "https://host/path" in JSON's quotes, which are YAML's too. */
static void write_address(hd_buffer *b, const hd_wire_request *request, const char *path)
{
    const hd_span proto = hd__http_header(request->http, "X-Forwarded-Proto");
    const hd_span host = hd__http_header(request->http, "Host");
    const bool is_secure = proto.ptr != NULL ? hd__span_is(proto, "https") : request->settings->has_tls;
    const char *text =
        hd__arena_printf(request->arena, "%s://%.*s%s", is_secure ? "https" : "http", host.ptr != NULL ? (int)host.len : 9,
                         host.ptr != NULL ? host.ptr : "localhost", path);
    if (text == NULL)
        b->failed = true;
    else
        hd__write_cstr(b, text);
}

void hd__plugin_write_manifest(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                               hd_http_response *response)
{
    (void)call;
    (void)result;
    hd_buffer *b = &response->body;
    hd__buffer_append_text(
        b, "{\"schema_version\":\"v1\",\"name_for_model\":\"retrieval\",\"name_for_human\":\"Heddle\","
           "\"description_for_model\":\"Searches the user's documents, such as files, emails and notes, with questions in "
           "natural language, and returns the passages that answer them best.\","
           "\"description_for_human\":\"Search through your documents.\","
           "\"auth\":{\"type\":\"user_http\",\"authorization_type\":\"bearer\"},\"api\":{\"type\":\"openapi\",\"url\":");
    write_address(b, request, "/.well-known/openapi.yaml");
    hd__buffer_append_text(b, ",\"has_user_authentication\":false},\"logo_url\":");
    write_address(b, request, "/.well-known/logo.png");
    hd__buffer_append_text(b, ",\"contact_email\":\"\",\"legal_info_url\":");
    write_address(b, request, "/");
    hd__buffer_append_char(b, '}');
}

static const char description[] =
    "\"paths\":{\"/query\":{\"post\":{\"summary\":\"Query\",\"description\":\"Accepts search queries,"
    " each with an optional filter. Break complex questions into sub-questions. Refine results by criteria such as time or "
    "source,"
    " but not often.\",\"operationId\":\"query_query_post\",\"requestBody\":{\"required\":true,"
    "\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/QueryRequest\"}}}},"
    "\"responses\":{\"200\":{\"description\":\"Successful Response\","
    "\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/QueryResponse\"}}}},"
    "\"422\":{\"description\":\"Validation Error\","
    "\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/HTTPValidationError\"}}}}},"
    "\"security\":[{\"HTTPBearer\":[]}]}}},\"components\":{\"schemas\":{\"Source\":{\"type\":\"string\","
    "\"enum\":[\"email\",\"file\",\"chat\"]},\"DocumentMetadataFilter\":{\"type\":\"object\","
    "\"properties\":{\"document_id\":{\"type\":\"string\"},\"source\":{\"$ref\":\"#/components/schemas/Source\"},"
    "\"source_id\":{\"type\":\"string\"},\"author\":{\"type\":\"string\"},\"start_date\":{\"type\":\"string\"},"
    "\"end_date\":{\"type\":\"string\"}}},\"Query\":{\"type\":\"object\",\"required\":[\"query\"],"
    "\"properties\":{\"query\":{\"type\":\"string\"},"
    "\"filter\":{\"$ref\":\"#/components/schemas/DocumentMetadataFilter\"},\"top_k\":{\"type\":\"integer\","
    "\"default\":3}}},\"QueryRequest\":{\"type\":\"object\",\"required\":[\"queries\"],"
    "\"properties\":{\"queries\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Query\"}}}},"
    "\"DocumentChunkMetadata\":{\"type\":\"object\","
    "\"properties\":{\"source\":{\"$ref\":\"#/components/schemas/Source\"},\"source_id\":{\"type\":\"string\"},"
    "\"url\":{\"type\":\"string\"},\"created_at\":{\"type\":\"string\"},\"author\":{\"type\":\"string\"},"
    "\"document_id\":{\"type\":\"string\"}}},\"DocumentChunkWithScore\":{\"type\":\"object\",\"required\":[\"text\","
    "\"metadata\",\"score\"],\"properties\":{\"id\":{\"type\":\"string\"},\"text\":{\"type\":\"string\"},"
    "\"metadata\":{\"$ref\":\"#/components/schemas/DocumentChunkMetadata\"},\"embedding\":{\"type\":\"array\","
    "\"items\":{\"type\":\"number\"}},\"score\":{\"type\":\"number\"}}},\"QueryResult\":{\"type\":\"object\","
    "\"required\":[\"query\",\"results\"],\"properties\":{\"query\":{\"type\":\"string\"},"
    "\"results\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/DocumentChunkWithScore\"}}}},"
    "\"QueryResponse\":{\"type\":\"object\",\"required\":[\"results\"],"
    "\"properties\":{\"results\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/QueryResult\"}}}},"
    "\"ValidationError\":{\"type\":\"object\",\"required\":[\"loc\",\"msg\",\"type\"],"
    "\"properties\":{\"loc\":{\"type\":\"array\",\"items\":{\"anyOf\":[{\"type\":\"string\"},"
    "{\"type\":\"integer\"}]}},\"msg\":{\"type\":\"string\"},\"type\":{\"type\":\"string\"}}},"
    "\"HTTPValidationError\":{\"type\":\"object\",\"properties\":{\"detail\":{\"type\":\"array\","
    "\"items\":{\"$ref\":\"#/components/schemas/ValidationError\"}}}}},"
    "\"securitySchemes\":{\"HTTPBearer\":{\"type\":\"http\",\"scheme\":\"bearer\"}}}}";

static void write_openapi(const hd_wire_request *request, const char *path, hd_http_response *response)
{
    hd_buffer *b = &response->body;
    hd__buffer_append_text(
        b, "{\"openapi\":\"3.0.2\",\"info\":{\"title\":\"Retrieval Plugin API\",\"description\":\"A retrieval "
           "API for querying and filtering documents based on natural language queries and metadata\","
           "\"version\":\"1.0.0\"},\"servers\":[{\"url\":");
    write_address(b, request, path);
    hd__buffer_append_text(b, "}],");
    hd__buffer_append_text(b, description);
}

void hd__plugin_write_openapi(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                              hd_http_response *response)
{
    (void)call;
    (void)result;
    response->content_type = "text/yaml";
    write_openapi(request, "", response);
}

void hd__plugin_write_sub_openapi(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                                  hd_http_response *response)
{
    (void)call;
    (void)result;
    write_openapi(request, "/sub", response);
}

/* The mark of web/icon.svg, 96 × 96, two colours. */
static const unsigned char logo[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x60,
    0x00, 0x00, 0x00, 0x60, 0x01, 0x03, 0x00, 0x00, 0x00, 0xd8, 0x56, 0xe5, 0x7b, 0x00, 0x00, 0x00, 0x06, 0x50, 0x4c, 0x54,
    0x45, 0xff, 0xff, 0xff, 0x1f, 0x72, 0x63, 0x8b, 0x0a, 0x1c, 0xa5, 0x00, 0x00, 0x00, 0xd3, 0x49, 0x44, 0x41, 0x54, 0x78,
    0xda, 0xd5, 0x93, 0x31, 0x0e, 0xc3, 0x20, 0x10, 0x04, 0x6d, 0xb9, 0x70, 0xc9, 0x13, 0x78, 0x0a, 0x3f, 0x03, 0xa2, 0x7c,
    0x8c, 0xfc, 0xc4, 0x4f, 0xa0, 0xa4, 0x40, 0x4e, 0xee, 0xd8, 0x8d, 0x72, 0xa9, 0xa2, 0x58, 0x4a, 0x24, 0xaf, 0x68, 0xa6,
    0xb9, 0xe5, 0x76, 0x61, 0x9a, 0x4e, 0xa3, 0x70, 0xa7, 0xba, 0x40, 0x7a, 0xc2, 0x7e, 0x10, 0xde, 0xa6, 0x4d, 0x4b, 0xe1,
    0xf9, 0x08, 0xeb, 0x66, 0xc0, 0x55, 0x03, 0xbe, 0x19, 0x08, 0xdd, 0x40, 0xda, 0x0d, 0xc4, 0x68, 0xa0, 0x07, 0x03, 0xcd,
    0xbf, 0x60, 0x6e, 0x3e, 0x13, 0xd6, 0x6d, 0xae, 0x2e, 0x8b, 0xaf, 0xca, 0x55, 0x05, 0xf1, 0x55, 0xf9, 0xa6, 0x20, 0xbe,
    0x23, 0x9e, 0xae, 0x10, 0xc6, 0x3a, 0xe2, 0xa8, 0x90, 0xf6, 0x01, 0x31, 0x2e, 0xd5, 0x15, 0xf1, 0x55, 0xf5, 0xa0, 0x20,
    0xbe, 0xaa, 0xe6, 0x15, 0xc4, 0x57, 0x24, 0x8e, 0xd7, 0xea, 0x6e, 0xe2, 0xab, 0x50, 0xdd, 0x65, 0x9c, 0xa3, 0xb0, 0x8c,
    0x51, 0x32, 0xb0, 0x00, 0x0a, 0xac, 0x08, 0xb8, 0x04, 0x01, 0xd7, 0xc3, 0x80, 0x8c, 0x8b, 0x13, 0xb0, 0x12, 0x01, 0xcb,
    0x12, 0x10, 0x03, 0x01, 0x01, 0x61, 0x85, 0x8c, 0xe8, 0xb0, 0x1c, 0x43, 0xc5, 0xda, 0x8c, 0x1b, 0x81, 0xb0, 0x08, 0x44,
    0xc5, 0x8a, 0x10, 0x22, 0xcb, 0x43, 0xbc, 0xac, 0x15, 0xc1, 0xb3, 0x70, 0x54, 0xc2, 0xa7, 0xf0, 0xdd, 0xdb, 0xf9, 0x3b,
    0xfc, 0xf2, 0xcb, 0x9c, 0x43, 0x0f, 0x92, 0xfc, 0x3c, 0x00, 0xe3, 0x43, 0x87, 0xa0, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45,
    0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
};

void hd__plugin_write_logo(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                           hd_http_response *response)
{
    (void)request;
    (void)call;
    (void)result;
    response->content_type = "image/png";
    response->is_noise = true;
    hd__buffer_append(&response->body, logo, sizeof logo);
}
