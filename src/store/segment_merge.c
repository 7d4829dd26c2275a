/* segment_merge.c - several segments read side by side, term by term: merged into one, compacted into another file, given to
 * others, checked.
 *
 * Terms stand in each segment in their order and segments follow each other by chunks, so a term's merged list is its lists
 * one after the other. Memory is one block of terms for each segment and the list at hand.
 *
 * When segments are merged: each has a level, the logarithm of its postings to the base FANOUT; FANOUT of one level at the
 * end become one, so that there are never more than about FANOUT for each level, and a posting is written again once for
 * each. Segments of MAX_MERGED postings and more stay as they are, which bounds how long a commit can take.
 */
#include "store/segment.h"

#include "base/alloc.h"
#include "store/posting_list.h"
#include "store/sql.h"

enum { FANOUT = 8, LEVEL_0 = 64, MAX_LEVEL = 64 };
#define MAX_MERGED 8000000u

typedef struct source {
    hd_segment segment;
    char *index, *block; /* streams' parts, NUL where none was read yet */
    hd_cursor index_left, block_left;
    uint64_t block_offset;
    uint16_t *lengths; /* [n_chunks]; words alone */
    hd_term term;      /* the next one */
    bool ended;
} source;

typedef struct sources {
    sqlite3 *db;
    hd_segment_reader reader;
    source *list;
    size_t n;
    uint32_t *ids; /* [n_postings] of the term at hand, in numbers of the whole */
    uint16_t *payloads;
    size_t n_postings, capacity;
    uint32_t n_removed;
    char *bytes; /* of a list */
    size_t bytes_capacity;
    void *memory; /* of its directory */
    size_t memory_capacity;
} sources;

static hd_status fail_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for merging segments of the index");
}

/* At least so many bytes at *memory; what was there may be gone. */
static bool grow(void **memory, size_t *capacity, size_t bytes)
{
    if (bytes <= *capacity)
        return true;
    void *more = hd__malloc(hd__add(bytes, bytes / 2));
    if (more == NULL)
        return false;
    hd__free(*memory);
    *memory = more;
    *capacity = bytes + bytes / 2;
    return true;
}

static hd_status grow_postings(sources *all, size_t n, hd_error *err)
{
    if (n <= all->capacity)
        return HD_OK;
    const size_t capacity = n + n / 2;
    uint32_t *ids = hd__realloc(all->ids, hd__mul(capacity, sizeof *ids));
    if (ids == NULL)
        return fail_memory(err);
    all->ids = ids;
    uint16_t *payloads = hd__realloc(all->payloads, hd__mul(capacity, sizeof *payloads));
    if (payloads == NULL)
        return fail_memory(err);
    all->payloads = payloads;
    all->capacity = capacity;
    return HD_OK;
}

/* ---- reading side by side ----------------------------------------------------------------------- */

static hd_status next_block(sources *all, source *s, hd_error *err)
{
    const uint8_t len = hd__cursor_u8(&s->index_left);
    const hd_span first = hd__cursor_take(&s->index_left, len);
    const uint64_t n_bytes = hd__varint_read(&s->index_left);
    if (s->index_left.failed || n_bytes == 0 || n_bytes > s->segment.stream_bytes[HD_STREAM_TERMS])
        return hd__segment_damaged(all->db, &s->segment, "its index is none", err);
    hd__free(s->block);
    s->block = hd__malloc((size_t)n_bytes);
    if (s->block == NULL)
        return fail_memory(err);
    HD_TRY(hd__segment_read(&all->reader, &s->segment, HD_STREAM_TERMS, s->block_offset, (size_t)n_bytes, s->block, err));
    s->block_offset += n_bytes;
    s->block_left = hd__cursor(hd__span(s->block, (size_t)n_bytes));
    const bool fits = n_bytes > 1 + (uint64_t)len && s->block[0] == 0 && (uint8_t)s->block[1] == len &&
                      memcmp(s->block + 2, first.ptr, len) == 0;
    return fits ? HD_OK : hd__segment_damaged(all->db, &s->segment, "its index does not fit its terms", err);
}

static hd_status next_term(sources *all, source *s, hd_error *err)
{
    const hd_term before = s->term;
    const bool first = s->block == NULL;
    if (hd__cursor_left(&s->block_left) == 0) {
        if (hd__cursor_left(&s->index_left) == 0) {
            s->ended = true;
            return s->block_offset == s->segment.stream_bytes[HD_STREAM_TERMS]
                       ? HD_OK
                       : hd__segment_damaged(all->db, &s->segment, "terms past its index", err);
        }
        HD_TRY(next_block(all, s, err));
        s->term.len = 0;
    }
    if (!hd__term_next(&s->block_left, &s->segment, &s->term))
        return hd__segment_damaged(all->db, &s->segment, "a block of terms is none", err);
    if (!first && hd__term_compare(hd__term_text(&before), hd__term_text(&s->term)) >= 0)
        return hd__segment_damaged(all->db, &s->segment, "its terms do not ascend", err);
    return HD_OK;
}

static hd_status open_source(sources *all, source *s, hd_error *err)
{
    const hd_segment *segment = &s->segment;
    const size_t index_bytes = (size_t)segment->stream_bytes[HD_STREAM_INDEX];
    s->index = hd__malloc(index_bytes + 1);
    if (s->index == NULL)
        return fail_memory(err);
    HD_TRY(hd__segment_read(&all->reader, segment, HD_STREAM_INDEX, 0, index_bytes, s->index, err));
    s->index_left = hd__cursor(hd__span(s->index, index_bytes));
    s->block_left = hd__cursor(hd__span("", 0));
    if (segment->kind == HD_SEGMENT_WORDS) {
        const size_t n_bytes = (size_t)segment->stream_bytes[HD_STREAM_LENGTHS];
        s->lengths = hd__malloc(n_bytes + 1);
        if (s->lengths == NULL)
            return fail_memory(err);
        HD_TRY(hd__segment_read(&all->reader, segment, HD_STREAM_LENGTHS, 0, n_bytes, (char *)s->lengths, err));
    }
    return next_term(all, s, err);
}

static void close_sources(sources *all)
{
    for (size_t i = 0; i < all->n; i++) {
        hd__free(all->list[i].index);
        hd__free(all->list[i].block);
        hd__free(all->list[i].lengths);
    }
    hd__free(all->list);
    hd__free(all->ids);
    hd__free(all->payloads);
    hd__free(all->bytes);
    hd__free(all->memory);
    hd__segment_reader_end(&all->reader);
    *all = (sources){0};
}

static hd_status open_sources(sources *all, sqlite3 *db, const hd_segment *segments, size_t n, hd_error *err)
{
    *all = (sources){.db = db, .reader = {.db = db}};
    all->list = hd__calloc(n + 1, sizeof *all->list);
    if (all->list == NULL)
        return fail_memory(err);
    all->n = n;
    for (size_t i = 0; i < n; i++) {
        all->list[i].segment = segments[i];
        HD_TRY(open_source(all, &all->list[i], err));
    }
    return HD_OK;
}

/* Adds the postings of a source's term to those at hand, with numbers of the whole. */
static hd_status take_list(sources *all, const source *s, hd_error *err)
{
    const hd_term *term = &s->term;
    const uint32_t n = term->n_postings, n_chunks = s->segment.n_chunks;
    if (n == 0)
        return HD_OK;
    HD_TRY(grow_postings(all, all->n_postings + n, err));
    uint32_t *ids = all->ids + all->n_postings;
    hd_span bytes = term->list;
    if (n > HD_POSTING_BLOCK) {
        void *list = all->bytes;
        if (!grow(&list, &all->bytes_capacity, (size_t)term->list_bytes) ||
            !grow(&all->memory, &all->memory_capacity, hd__posting_list_memory(n))) {
            all->bytes = list;
            return fail_memory(err);
        }
        all->bytes = list;
        HD_TRY(hd__segment_read(&all->reader, &s->segment, HD_STREAM_LISTS, term->list_offset, (size_t)term->list_bytes,
                                all->bytes, err));
        bytes = hd__span(all->bytes, (size_t)term->list_bytes);
    }
    if (!hd__posting_list_decode_all(bytes, n, n_chunks, all->memory, ids, all->payloads + all->n_postings))
        return hd__segment_damaged(all->db, &s->segment, "a posting list is none", err);
    for (uint32_t i = 0; i < n; i++)
        ids[i] += s->segment.first;
    all->n_postings += n;
    return HD_OK;
}

/* The next term of all and all of its postings. *term NULL at the end; else it lives until the next call. */
static hd_status take_term(sources *all, hd_term *term, bool *ended, hd_error *err)
{
    const source *least = NULL;
    for (size_t i = 0; i < all->n; i++) {
        const source *s = &all->list[i];
        if (!s->ended && (least == NULL || hd__term_compare(hd__term_text(&s->term), hd__term_text(&least->term)) < 0))
            least = s;
    }
    *ended = least == NULL;
    if (least == NULL)
        return HD_OK;
    *term = least->term;
    all->n_postings = all->n_removed = 0;
    for (size_t i = 0; i < all->n; i++) {
        source *s = &all->list[i];
        if (s->ended || hd__term_compare(hd__term_text(&s->term), hd__term_text(term)) != 0)
            continue;
        HD_TRY(take_list(all, s, err));
        all->n_removed += s->term.n_removed;
        HD_TRY(next_term(all, s, err));
    }
    return HD_OK;
}

hd_status hd__segment_each_term(sqlite3 *db, hd_segment_kind kind, hd_term_fn *take, void *data, hd_error *err)
{
    hd_segment *segments = NULL;
    size_t n = 0;
    sources all = {0};
    hd_status status = HD_OK;
    HD_TRY_OUT(hd__segment_list(db, kind, &segments, &n, err));
    HD_TRY_OUT(open_sources(&all, db, segments, n, err));
    for (;;) {
        hd_term term;
        bool ended;
        HD_TRY_OUT(take_term(&all, &term, &ended, err));
        if (ended)
            break;
        HD_TRY_OUT(take(hd__term_text(&term), all.ids, all.payloads, all.n_postings, data, err));
    }
out:
    close_sources(&all);
    hd__free(segments);
    return status;
}

/* ---- merging ------------------------------------------------------------------------------------ */

static unsigned level_of(const hd_segment *segment)
{
    const uint64_t size = segment->n_postings + segment->n_terms;
    if (size >= MAX_MERGED)
        return MAX_LEVEL;
    unsigned level = 0;
    for (uint64_t bound = LEVEL_0; size >= bound; bound *= FANOUT)
        level++;
    return level;
}

/* How many at the end are to be one; 0: none. */
static size_t n_to_merge(const hd_segment *segments, size_t n)
{
    for (unsigned level = 0; level < MAX_LEVEL; level++) {
        size_t run = 0, n_equal = 0;
        while (run < n && level_of(&segments[n - 1 - run]) <= level)
            n_equal += level_of(&segments[n - 1 - run++]) == level;
        if (n_equal >= FANOUT)
            return run;
        if (run == n)
            return 0;
    }
    return 0;
}

static hd_status delete_segments(sqlite3 *db, const hd_segment *segments, size_t n, hd_error *err)
{
    sqlite3_stmt *rows = NULL, *segment = NULL;
    hd_status status = HD_OK;
    HD_TRY_OUT(hd__sql_prepare(db, "DELETE FROM postings_rows WHERE id >= ? AND id < ?", &rows, err));
    HD_TRY_OUT(hd__sql_prepare(db, "DELETE FROM postings_segments WHERE id = ?", &segment, err));
    for (size_t i = 0; i < n; i++) {
        sqlite3_bind_int64(rows, 1, (int64_t)segments[i].id << 32);
        sqlite3_bind_int64(rows, 2, (int64_t)(segments[i].id + 1) << 32);
        HD_TRY_OUT(hd__sql_run(rows, err));
        sqlite3_bind_int64(segment, 1, segments[i].id);
        HD_TRY_OUT(hd__sql_run(segment, err));
    }
out:
    sqlite3_finalize(rows);
    sqlite3_finalize(segment);
    return status;
}

/* What becomes of chunks' numbers: those of live ones follow each other; where `live` is NULL, all go down by `first`. */
typedef struct renumbering {
    uint32_t first;
    const hd_bitmap_ranks *live;
} renumbering;

/* False: the chunk is not taken over. */
static bool new_number(const renumbering *numbers, uint32_t id, uint32_t *number)
{
    const bool stays = numbers->live == NULL || hd__bitmap_has(numbers->live->set, id);
    *number = !stays ? 0 : numbers->live == NULL ? id - numbers->first : hd__bitmap_rank(numbers->live, id);
    return stays;
}

/* The lengths of all, [n_chunks] and one more; *lengths is freed by the caller, NULL for weights. */
static hd_status join_lengths(const sources *all, const renumbering *numbers, const hd_segment *about, uint16_t **lengths,
                              hd_error *err)
{
    *lengths = NULL;
    if (about->kind != HD_SEGMENT_WORDS)
        return HD_OK;
    *lengths = hd__calloc((size_t)about->n_chunks + 1, sizeof **lengths);
    if (*lengths == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < all->n; i++) {
        const source *s = &all->list[i];
        uint32_t to;
        for (uint32_t j = 0; j < s->segment.n_chunks; j++)
            if (new_number(numbers, s->segment.first + j, &to))
                (*lengths)[to] = s->lengths[j];
    }
    return HD_OK;
}

static void renumber_postings(sources *all, const renumbering *numbers)
{
    size_t n = 0;
    for (size_t i = 0; i < all->n_postings; i++) {
        if (!new_number(numbers, all->ids[i], &all->ids[n]))
            continue;
        all->payloads[n++] = all->payloads[i];
    }
    all->n_postings = n;
}

/* All terms, as one segment. Of chunks that are gone altogether nothing has to be taken back any more. */
static hd_status write_joined(sources *all, const renumbering *numbers, hd_segment_writer *writer, hd_error *err)
{
    for (;;) {
        hd_term term;
        bool ended;
        HD_TRY(take_term(all, &term, &ended, err));
        if (ended)
            return hd__segment_end(writer, err);
        renumber_postings(all, numbers);
        const uint32_t n_removed = numbers->live == NULL ? all->n_removed : 0;
        if (all->n_postings > 0 || n_removed > 0)
            HD_TRY(hd__segment_add(writer, hd__term_text(&term), n_removed, all->ids, all->payloads, all->n_postings, err));
    }
}

static hd_status merge(sqlite3 *db, const hd_segment *segments, size_t n, hd_error *err)
{
    const hd_segment *last = &segments[n - 1];
    const renumbering numbers = {.first = segments[0].first};
    hd_segment about = {.kind = last->kind, .first = numbers.first};
    about.n_chunks = last->first + last->n_chunks - about.first;
    for (size_t i = 0; i < n; i++) {
        about.n_counted += segments[i].n_counted;
        about.sum_length += segments[i].sum_length;
    }
    sources all = {0};
    hd_segment_writer writer = {0};
    uint16_t *lengths = NULL;
    hd_status status = HD_OK;
    HD_TRY_OUT(open_sources(&all, db, segments, n, err));
    HD_TRY_OUT(join_lengths(&all, &numbers, &about, &lengths, err));
    HD_TRY_OUT(hd__segment_begin(&writer, db, &about, lengths, err));
    HD_TRY_OUT(write_joined(&all, &numbers, &writer, err));
    HD_TRY_OUT(delete_segments(db, segments, n, err));
out:
    hd__segment_abandon(&writer);
    hd__free(lengths);
    close_sources(&all);
    return status;
}

hd_status hd__segment_tidy(sqlite3 *db, hd_segment_kind kind, hd_error *err)
{
    hd_status status = HD_OK;
    for (size_t n_merged = 1; n_merged > 0 && status == HD_OK;) {
        hd_segment *segments;
        size_t n;
        HD_TRY(hd__segment_list(db, kind, &segments, &n, err));
        n_merged = n_to_merge(segments, n);
        if (n_merged > 0)
            status = merge(db, segments + (n - n_merged), n_merged, err);
        hd__free(segments);
    }
    return status;
}

/* ---- compaction --------------------------------------------------------------------------------- */

hd_status hd__segment_compact(sqlite3 *from, sqlite3 *to, hd_segment_kind kind, const hd_bitmap *live, hd_error *err)
{
    hd_segment *segments = NULL, about = {.kind = kind, .n_chunks = live->n_set, .n_counted = live->n_set};
    size_t n = 0;
    sources all = {0};
    hd_bitmap_ranks ranks = {0};
    const renumbering numbers = {.live = &ranks};
    hd_segment_writer writer = {0};
    uint16_t *lengths = NULL;
    hd_status status = HD_OK;
    HD_TRY_OUT(hd__segment_list(from, kind, &segments, &n, err));
    if (n == 0 || live->n_set == 0)
        goto out;
    HD_TRY_OUT(open_sources(&all, from, segments, n, err));
    HD_TRY_OUT(hd__bitmap_ranks_init(&ranks, live, err));
    HD_TRY_OUT(join_lengths(&all, &numbers, &about, &lengths, err));
    for (uint32_t i = 0; lengths != NULL && i < about.n_chunks; i++)
        about.sum_length += lengths[i];
    HD_TRY_OUT(hd__segment_begin(&writer, to, &about, lengths, err));
    HD_TRY_OUT(write_joined(&all, &numbers, &writer, err));
out:
    hd__segment_abandon(&writer);
    hd__free(lengths);
    hd__bitmap_ranks_clear(&ranks);
    close_sources(&all);
    hd__free(segments);
    return status;
}

/* ---- checking ----------------------------------------------------------------------------------- */

/* Whether each block's fronts are bounds of its postings. */
static bool fronts_hold(const sources *all, const source *s, uint32_t n)
{
    hd_posting_list list;
    if (!hd__posting_list_open(hd__span(all->bytes, (size_t)s->term.list_bytes), n, s->segment.n_chunks, all->memory, &list))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t block = i / HD_POSTING_BLOCK;
        const uint16_t length = s->lengths != NULL ? s->lengths[all->ids[i] - s->segment.first] : 0;
        bool covered = false;
        for (uint32_t f = list.dir[block].front; f < list.dir[block + 1].front && !covered; f++)
            covered = list.fronts[f].payload >= all->payloads[i] && list.fronts[f].length <= length;
        if (!covered)
            return false;
    }
    return true;
}

/* Whether a segment's rows are as long together as it says. */
static hd_status check_rows(sqlite3 *db, const hd_segment *segment, hd_error *err)
{
    uint64_t expected = 0;
    for (int i = 0; i < HD_N_STREAMS; i++)
        expected += segment->stream_bytes[i];
    sqlite3_stmt *sum;
    HD_TRY(hd__sql_prepare(db, "SELECT total(length(data)) FROM postings_rows WHERE id >= ? AND id < ?", &sum, err));
    sqlite3_bind_int64(sum, 1, (int64_t)segment->id << 32);
    sqlite3_bind_int64(sum, 2, (int64_t)(segment->id + 1) << 32);
    bool row;
    hd_status status = hd__sql_next(sum, &row, err);
    if (status == HD_OK && (uint64_t)sqlite3_column_double(sum, 0) != expected)
        status = hd__segment_damaged(db, segment, "its rows are not as long as it says", err);
    sqlite3_finalize(sum);
    return status;
}

static hd_status check_segment(sqlite3 *db, const hd_segment *segment, uint32_t n_chunks, hd_error *err)
{
    sources all = {0};
    uint64_t n_terms = 0, n_postings = 0;
    hd_status status = HD_OK;
    HD_TRY_OUT(check_rows(db, segment, err));
    HD_TRY_OUT(open_sources(&all, db, segment, 1, err));
    if ((uint64_t)segment->first + segment->n_chunks > n_chunks) {
        status = hd__segment_damaged(db, segment, "it has chunks that were never given", err);
        goto out;
    }
    source *s = &all.list[0];
    for (; !s->ended; n_terms++) {
        all.n_postings = 0;
        HD_TRY_OUT(take_list(&all, s, err));
        n_postings += all.n_postings;
        if (all.n_postings > HD_POSTING_BLOCK && !fronts_hold(&all, s, s->term.n_postings)) {
            status = hd__segment_damaged(db, segment, "a posting list's bounds do not hold", err);
            goto out;
        }
        HD_TRY_OUT(next_term(&all, s, err));
    }
    if (n_terms != segment->n_terms || n_postings != segment->n_postings)
        status = hd__segment_damaged(db, segment, "its counts are wrong", err);
out:
    close_sources(&all);
    return status;
}

hd_status hd__segment_check(sqlite3 *db, hd_segment_kind kind, uint32_t n_chunks,
                            void (*found)(const char *what, void *data), void *data, hd_error *err)
{
    hd_segment *segments;
    size_t n;
    hd_error what;
    hd_status status = hd__segment_list(db, kind, &segments, &n, &what);
    if (status == HD_ERR_FORMAT) {
        found(what.text, data);
        return HD_OK;
    }
    if (status != HD_OK)
        return hd__fail(err, status, "%s", what.text);
    for (size_t i = 0; i < n && status == HD_OK; i++) {
        status = check_segment(db, &segments[i], n_chunks, &what);
        if (status == HD_ERR_FORMAT) {
            found(what.text, data);
            status = HD_OK;
        }
    }
    hd__free(segments);
    return status == HD_OK ? HD_OK : hd__fail(err, status, "%s", what.text);
}
