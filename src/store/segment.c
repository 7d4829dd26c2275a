/* segment.c - see segment.h: the tables, reading and writing. */
#include "store/segment.h"

#include "base/alloc.h"
#include "store/posting_list.h"
#include "store/sql.h"

enum { BLOCK_BYTES = 2048 }; /* of terms, about: what one look-up reads through */

static int64_t row_id(uint32_t segment, hd_segment_stream stream, uint64_t row)
{
    return (int64_t)((uint64_t)segment << 32 | (uint64_t)stream << 28 | row);
}

hd_status hd__segment_create(sqlite3 *db, const char *language, hd_error *err)
{
    HD_TRY(hd__sql_exec(db,
                        "CREATE TABLE postings_state (language TEXT NOT NULL, epoch INTEGER NOT NULL,"
                        " generation INTEGER NOT NULL, next_segment INTEGER NOT NULL) STRICT;"
                        "CREATE TABLE postings_segments (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL,"
                        " first INTEGER NOT NULL, n_chunks INTEGER NOT NULL, n_counted INTEGER NOT NULL,"
                        " sum_length INTEGER NOT NULL, n_postings INTEGER NOT NULL, n_terms INTEGER NOT NULL,"
                        " index_bytes INTEGER NOT NULL, terms_bytes INTEGER NOT NULL, lists_bytes INTEGER NOT NULL,"
                        " lengths_bytes INTEGER NOT NULL) STRICT;"
                        "CREATE TABLE postings_rows (id INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT",
                        err));
    sqlite3_stmt *insert;
    HD_TRY(hd__sql_prepare(db, "INSERT INTO postings_state VALUES (?, random(), 0, 1)", &insert, err));
    hd__sql_bind_text(insert, 1, hd__span_of(language));
    hd_status status = hd__sql_run(insert, err);
    sqlite3_finalize(insert);
    return status;
}

hd_status hd__segment_damaged(sqlite3 *db, const hd_segment *segment, const char *what, hd_error *err)
{
    return hd__sql_damaged(db, err, "segment %u of the %s: %s", segment->id,
                           segment->kind == HD_SEGMENT_WORDS ? "words" : "sparse weights", what);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static hd_status read_segment(sqlite3_stmt *row, hd_segment_kind kind, uint64_t file_bytes, hd_segment *segment,
                              hd_error *err)
{
    int64_t column[12];
    for (int i = 0; i < 12; i++)
        column[i] = sqlite3_column_int64(row, i);
    *segment = (hd_segment){.id = (uint32_t)column[0],
                            .kind = kind,
                            .first = (uint32_t)column[2],
                            .n_chunks = (uint32_t)column[3],
                            .n_counted = column[4],
                            .sum_length = column[5],
                            .n_postings = (uint64_t)column[6],
                            .n_terms = (uint64_t)column[7]};
    for (int i = 0; i < HD_N_STREAMS; i++)
        segment->stream_bytes[i] = (uint64_t)column[8 + i];
    bool sane = column[0] > 0 && column[0] <= INT32_MAX && column[2] >= 0 && column[3] >= 0 && column[2] <= UINT32_MAX &&
                column[3] < INT32_MAX && column[2] + column[3] <= UINT32_MAX && column[6] >= 0 && column[7] >= 0;
    for (int i = 8; i < 12; i++)
        sane = sane && column[i] >= 0 && (uint64_t)column[i] <= file_bytes;
    sane = sane && (kind == HD_SEGMENT_SPARSE || column[8 + HD_STREAM_LENGTHS] == column[3] * 2);
    return sane ? HD_OK : hd__segment_damaged(sqlite3_db_handle(row), segment, "its row makes no sense", err);
}

hd_status hd__segment_list(sqlite3 *db, hd_segment_kind kind, hd_segment **segments, size_t *n, hd_error *err)
{
    hd_segment *list = NULL;
    size_t n_list = 0, capacity = 0;
    sqlite3_stmt *rows = NULL;
    hd_status status = HD_OK;
    int64_t n_pages, page_bytes; /* no stream is longer than the file: what is claimed may be allocated */
    HD_TRY(hd__sql_integer(db, "PRAGMA page_count", &n_pages, err));
    HD_TRY(hd__sql_integer(db, "PRAGMA page_size", &page_bytes, err));
    HD_TRY_OUT(hd__sql_prepare(db, "SELECT * FROM postings_segments WHERE kind = ? ORDER BY id", &rows, err));
    sqlite3_bind_int(rows, 1, (int)kind);
    uint64_t next = 0;
    for (;;) {
        bool row;
        HD_TRY_OUT(hd__sql_next(rows, &row, err));
        if (!row)
            break;
        if (n_list == capacity) {
            capacity = capacity * 2 + 16;
            hd_segment *more = hd__realloc(list, capacity * sizeof *list);
            if (more == NULL) {
                status = hd__fail(err, HD_ERR_MEMORY, "no memory for %zu segments of the index", capacity);
                goto out;
            }
            list = more;
        }
        HD_TRY_OUT(read_segment(rows, kind, (uint64_t)(n_pages * page_bytes), &list[n_list], err));
        if (list[n_list].first < next) {
            status = hd__segment_damaged(db, &list[n_list], "its chunks are another's, too", err);
            goto out;
        }
        next = (uint64_t)list[n_list].first + list[n_list].n_chunks;
        n_list++;
    }
    *segments = list;
    *n = n_list;
    list = NULL;
out:
    sqlite3_finalize(rows);
    hd__free(list);
    return status;
}

void hd__segment_reader_end(hd_segment_reader *reader)
{
    sqlite3_finalize(reader->rows);
    reader->rows = NULL;
}

hd_status hd__segment_read(hd_segment_reader *reader, const hd_segment *segment, hd_segment_stream stream, uint64_t offset,
                           size_t n, char *out, hd_error *err)
{
    if (n == 0)
        return HD_OK;
    if (offset > segment->stream_bytes[stream] || n > segment->stream_bytes[stream] - offset)
        return hd__segment_damaged(reader->db, segment, "a stream is too short", err);
    if (reader->rows == NULL)
        HD_TRY(hd__sql_prepare(reader->db, "SELECT data FROM postings_rows WHERE id BETWEEN ? AND ? ORDER BY id",
                               &reader->rows, err));
    const uint64_t first = offset / HD_SEGMENT_ROW_BYTES, last = (offset + n - 1) / HD_SEGMENT_ROW_BYTES;
    sqlite3_bind_int64(reader->rows, 1, row_id(segment->id, stream, first));
    sqlite3_bind_int64(reader->rows, 2, row_id(segment->id, stream, last));
    size_t skip = offset % HD_SEGMENT_ROW_BYTES, done = 0;
    hd_status status = HD_OK;
    for (uint64_t i = first; i <= last && status == HD_OK; i++) {
        bool row;
        status = hd__sql_next(reader->rows, &row, err);
        if (status != HD_OK)
            break;
        const hd_span data = row ? hd__sql_span(reader->rows, 0) : hd__span("", 0);
        const size_t take = n - done < HD_SEGMENT_ROW_BYTES - skip ? n - done : HD_SEGMENT_ROW_BYTES - skip;
        if (data.len < skip + take) {
            status = hd__segment_damaged(reader->db, segment, "a row is missing or too short", err);
            break;
        }
        memcpy(out + done, data.ptr + skip, take);
        done += take;
        skip = 0;
    }
    hd__sql_reset(reader->rows);
    return status;
}

bool hd__term_next(hd_cursor *block, const hd_segment *segment, hd_term *term)
{
    const uint8_t shared = hd__cursor_u8(block), more = hd__cursor_u8(block);
    if (shared > term->len || shared + more > (int)HD_SEGMENT_MAX_TERM)
        return false;
    const hd_span text = hd__cursor_take(block, more);
    memcpy(term->text + shared, text.ptr, text.len);
    term->len = (uint8_t)(shared + more);
    const uint64_t n_postings = hd__varint_read(block), n_removed = hd__varint_read(block);
    if (block->failed || n_postings > segment->n_chunks || n_removed > UINT32_MAX)
        return false;
    term->n_postings = (uint32_t)n_postings;
    term->n_removed = (uint32_t)n_removed;
    term->list = hd__span("", 0);
    term->list_offset = term->list_bytes = 0;
    if (n_postings == 0)
        return true;
    term->list_bytes = hd__varint_read(block);
    if (n_postings <= HD_POSTING_BLOCK) {
        if (term->list_bytes > hd__cursor_left(block))
            return false;
        term->list = hd__cursor_take(block, (size_t)term->list_bytes);
        return !block->failed;
    }
    term->list_offset = hd__varint_read(block);
    const uint64_t all = segment->stream_bytes[HD_STREAM_LISTS];
    /* No posting takes less than a bit of a block's header: the count is in proportion to bytes that are there. */
    return !block->failed && term->list_offset <= all && term->list_bytes <= all - term->list_offset &&
           n_postings / HD_POSTING_BLOCK <= term->list_bytes;
}

int hd__term_compare(hd_span a, hd_span b)
{
    const size_t n = a.len < b.len ? a.len : b.len;
    const int order = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* ---- writing ------------------------------------------------------------------------------------ */

static hd_status fail_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for a segment of the index");
}

/* Writes a stream's full rows, at the end its rest, too. */
static hd_status put_rows(hd_segment_writer *writer, hd_segment_stream stream, bool end, hd_error *err)
{
    hd_buffer *bytes = &writer->streams[stream];
    if (bytes->failed)
        return fail_memory(err);
    size_t at = 0;
    while (bytes->len - at >= HD_SEGMENT_ROW_BYTES || (end && at < bytes->len)) {
        const size_t n = bytes->len - at < HD_SEGMENT_ROW_BYTES ? bytes->len - at : HD_SEGMENT_ROW_BYTES;
        if (writer->n_rows[stream] >> 28 != 0)
            return hd__fail(err, HD_ERR_LIMIT, "the index of words is larger than 2^28 rows");
        sqlite3_bind_int64(writer->insert, 1, row_id(writer->segment.id, stream, writer->n_rows[stream]++));
        hd__sql_bind_blob(writer->insert, 2, hd__span(bytes->ptr + at, n));
        HD_TRY(hd__sql_run(writer->insert, err));
        at += n;
        writer->segment.stream_bytes[stream] += n;
    }
    if (at > 0) {
        memmove(bytes->ptr, bytes->ptr + at, bytes->len - at);
        bytes->len -= at;
    }
    return HD_OK;
}

hd_status hd__segment_begin(hd_segment_writer *writer, sqlite3 *db, const hd_segment *about, const uint16_t *lengths,
                            hd_error *err)
{
    *writer = (hd_segment_writer){.db = db, .segment = *about, .lengths = lengths};
    writer->segment.n_postings = writer->segment.n_terms = 0;
    memset(writer->segment.stream_bytes, 0, sizeof writer->segment.stream_bytes);
    int64_t id;
    HD_TRY(hd__sql_integer(db, "SELECT next_segment FROM postings_state", &id, err));
    if (id <= 0 || id >= INT32_MAX)
        return hd__fail(err, HD_ERR_LIMIT, "segment number %lld of the index of words: the limit is 2^31", (long long)id);
    writer->segment.id = (uint32_t)id;
    HD_TRY(hd__sql_exec(db, "UPDATE postings_state SET next_segment = next_segment + 1, generation = generation + 1", err));
    HD_TRY(hd__sql_prepare(db, "INSERT INTO postings_rows VALUES (?, ?)", &writer->insert, err));
    for (uint32_t i = 0; lengths != NULL && i < about->n_chunks; i++) {
        hd__buffer_append_uint(&writer->streams[HD_STREAM_LENGTHS], lengths[i], 2);
        if (writer->streams[HD_STREAM_LENGTHS].len >= HD_SEGMENT_ROW_BYTES)
            HD_TRY(put_rows(writer, HD_STREAM_LENGTHS, false, err));
    }
    return put_rows(writer, HD_STREAM_LENGTHS, true, err);
}

static hd_status end_block(hd_segment_writer *writer, hd_error *err)
{
    hd_buffer *index = &writer->streams[HD_STREAM_INDEX], *terms = &writer->streams[HD_STREAM_TERMS];
    hd__buffer_append_char(index, (char)writer->first_len);
    hd__buffer_append(index, writer->first, writer->first_len);
    hd__varint_append(index, writer->block.len);
    hd__buffer_append(terms, writer->block.ptr, writer->block.len);
    if (writer->block.failed)
        return fail_memory(err);
    hd__buffer_reset(&writer->block);
    writer->last_len = 0;
    HD_TRY(put_rows(writer, HD_STREAM_TERMS, false, err));
    return put_rows(writer, HD_STREAM_INDEX, false, err);
}

hd_status hd__segment_add(hd_segment_writer *writer, hd_span term, uint32_t n_removed, const uint32_t *ids,
                          const uint16_t *payloads, size_t n, hd_error *err)
{
    hd_buffer *block = &writer->block;
    if (block->len == 0) {
        memcpy(writer->first, term.ptr, term.len);
        writer->first_len = (uint8_t)term.len;
    }
    uint8_t shared = 0;
    while (shared < writer->last_len && shared < term.len && writer->last[shared] == term.ptr[shared])
        shared++;
    memcpy(writer->last, term.ptr, term.len);
    writer->last_len = (uint8_t)term.len;
    hd__buffer_append_char(block, (char)shared);
    hd__buffer_append_char(block, (char)(term.len - shared));
    hd__buffer_append(block, term.ptr + shared, term.len - shared);
    hd__varint_append(block, n);
    hd__varint_append(block, n_removed);
    if (n > 0) {
        hd__buffer_reset(&writer->list);
        hd__posting_list_write(&writer->list, ids, payloads, n, writer->lengths);
        if (writer->list.failed)
            return fail_memory(err);
        hd__varint_append(block, writer->list.len);
        hd_buffer *lists = &writer->streams[HD_STREAM_LISTS];
        if (n > HD_POSTING_BLOCK)
            hd__varint_append(block, writer->segment.stream_bytes[HD_STREAM_LISTS] + lists->len);
        hd__buffer_append(n > HD_POSTING_BLOCK ? lists : block, writer->list.ptr, writer->list.len);
        HD_TRY(put_rows(writer, HD_STREAM_LISTS, false, err));
    }
    writer->segment.n_terms++;
    writer->segment.n_postings += n;
    return block->len >= BLOCK_BYTES ? end_block(writer, err) : HD_OK;
}

hd_status hd__segment_end(hd_segment_writer *writer, hd_error *err)
{
    if (writer->block.failed) /* with nothing in it, if its first allocation did */
        return fail_memory(err);
    if (writer->block.len > 0)
        HD_TRY(end_block(writer, err));
    for (int stream = 0; stream < HD_N_STREAMS; stream++)
        HD_TRY(put_rows(writer, (hd_segment_stream)stream, true, err));
    sqlite3_stmt *insert;
    HD_TRY(hd__sql_prepare(writer->db, "INSERT INTO postings_segments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", &insert,
                           err));
    const hd_segment *s = &writer->segment;
    const int64_t columns[] = {s->id,
                               s->kind,
                               s->first,
                               s->n_chunks,
                               s->n_counted,
                               s->sum_length,
                               (int64_t)s->n_postings,
                               (int64_t)s->n_terms,
                               (int64_t)s->stream_bytes[HD_STREAM_INDEX],
                               (int64_t)s->stream_bytes[HD_STREAM_TERMS],
                               (int64_t)s->stream_bytes[HD_STREAM_LISTS],
                               (int64_t)s->stream_bytes[HD_STREAM_LENGTHS]};
    for (int i = 0; i < 12; i++)
        sqlite3_bind_int64(insert, i + 1, columns[i]);
    hd_status status = hd__sql_run(insert, err);
    sqlite3_finalize(insert);
    return status;
}

void hd__segment_abandon(hd_segment_writer *writer)
{
    sqlite3_finalize(writer->insert);
    for (int i = 0; i < HD_N_STREAMS; i++)
        hd__buffer_clear(&writer->streams[i]);
    hd__buffer_clear(&writer->block);
    hd__buffer_clear(&writer->list);
    *writer = (hd_segment_writer){0};
}
