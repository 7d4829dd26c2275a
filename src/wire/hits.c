/* hits.c - see hits.h. */
#include "wire/hits.h"

#include "base/date.h"
#include "wire/answer.h"

hd_status hd__index_call(const hd_wire_request *request, hd_task task, hd_call *call, hd_index_call **asked, hd_fault *fault)
{
    *asked = hd__arena_calloc(request->arena, 1, sizeof **asked);
    call->task = task;
    call->index = *asked;
    return *asked != NULL ? HD_OK : hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for this request");
}

static void write_name(hd_buffer *b, const char *name)
{
    hd__buffer_append_text(b, ",\"");
    hd__buffer_append_text(b, name);
    hd__buffer_append_text(b, "\":");
}

void hd__write_member(hd_buffer *b, const char *name, const char *text)
{
    write_name(b, name);
    hd__write_cstr(b, text);
}

void hd__write_member_or_null(hd_buffer *b, const char *name, const char *text)
{
    hd__write_member(b, name, text != NULL && text[0] != '\0' ? text : NULL);
}

void hd__write_member_uint(hd_buffer *b, const char *name, uint64_t n)
{
    write_name(b, name);
    hd__write_uint(b, n);
}

void hd__write_member_span(hd_buffer *b, const char *name, hd_span32 span)
{
    write_name(b, name);
    hd__buffer_printf(b, "{\"start\":%u,\"end\":%u}", span.begin, span.end);
}

void hd__write_member_date(hd_buffer *b, const char *name, int64_t unix_s)
{
    char text[HD_DATE_TEXT_BYTES];
    if (unix_s != 0)
        hd__date_text(unix_s, text);
    hd__write_member(b, name, unix_s != 0 ? text : NULL);
}

void hd__write_member_metadata(hd_buffer *b, const char *metadata)
{
    write_name(b, "metadata");
    hd__buffer_append_text(b, metadata != NULL && metadata[0] == '{' ? metadata : "{}");
}
