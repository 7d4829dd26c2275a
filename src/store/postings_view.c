/* postings_view.c - see postings_view.h. The lock is for `current` and the counts of views' users. */
#include "store/postings_view.h"

#include <pthread.h>

#include "base/alloc.h"
#include "store/sql.h"

#define CACHE_BYTES (128ull << 20) /* lists of two to three million chunks */

struct hd_views {
    pthread_mutex_t lock;
    hd_view *current; /* NULL at first */
    hd_postings_cache *cache;
};

/* A dictionary's index, in a part: entries, then the stream's bytes. */
typedef struct index_entry {
    uint64_t offset;   /* of the block in `terms` */
    uint32_t bytes;    /* of it */
    uint32_t first_at; /* of its first term, in the index's bytes */
    uint8_t first_len;
} index_entry;

typedef struct index_part {
    size_t n;
    const char *bytes;
    index_entry entries[];
} index_part;

static hd_status fail_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for reading the index of words");
}

hd_status hd__views_open(hd_views **views, hd_error *err)
{
    hd_views *opened = hd__calloc(1, sizeof *opened);
    if (opened == NULL)
        return fail_memory(err);
    hd_status status = hd__postings_cache_open(CACHE_BYTES, &opened->cache, err);
    if (status != HD_OK) {
        hd__free(opened);
        return status;
    }
    pthread_mutex_init(&opened->lock, NULL);
    *views = opened;
    return HD_OK;
}

static void free_view(hd_view *view)
{
    for (int kind = 0; kind < HD_N_SEGMENT_KINDS; kind++)
        hd__free(view->segments[kind]);
    hd__free(view);
}

void hd__views_close(hd_views *views)
{
    if (views == NULL)
        return;
    if (views->current != NULL)
        free_view(views->current);
    hd__postings_cache_close(views->cache);
    pthread_mutex_destroy(&views->lock);
    hd__free(views);
}

uint64_t hd__views_bytes(hd_views *views)
{
    return hd__postings_cache_bytes(views->cache);
}

/* ---- which segments ----------------------------------------------------------------------------- */

static hd_status read_view(sqlite3 *db, int64_t epoch, int64_t generation, hd_view **view, hd_error *err)
{
    hd_view *read = hd__calloc(1, sizeof *read);
    if (read == NULL)
        return fail_memory(err);
    read->n_users = 1;
    read->epoch = epoch;
    read->generation = generation;
    hd_status status = HD_OK;
    for (int kind = 0; kind < HD_N_SEGMENT_KINDS && status == HD_OK; kind++)
        status = hd__segment_list(db, (hd_segment_kind)kind, &read->segments[kind], &read->n_segments[kind], err);
    int64_t n_counted = 0, sum_length = 0;
    for (size_t i = 0; status == HD_OK && i < read->n_segments[HD_SEGMENT_WORDS]; i++) {
        n_counted += read->segments[HD_SEGMENT_WORDS][i].n_counted;
        sum_length += read->segments[HD_SEGMENT_WORDS][i].sum_length;
    }
    if (status != HD_OK) {
        free_view(read);
        return status;
    }
    read->n_counted = n_counted > 0 ? (uint64_t)n_counted : 0;
    read->sum_length = sum_length > 0 ? (uint64_t)sum_length : 0;
    *view = read;
    return HD_OK;
}

static hd_status read_state(sqlite3 *db, int64_t *epoch, int64_t *generation, hd_error *err)
{
    sqlite3_stmt *state;
    HD_TRY(hd__sql_prepare(db, "SELECT epoch, generation FROM postings_state", &state, err));
    bool row;
    hd_status status = hd__sql_next(state, &row, err);
    if (status == HD_OK && !row)
        status = hd__sql_damaged(db, err, "the index of words has no state");
    if (status == HD_OK) {
        *epoch = sqlite3_column_int64(state, 0);
        *generation = sqlite3_column_int64(state, 1);
    }
    sqlite3_finalize(state);
    return status;
}

static void release_view(hd_views *views, hd_view *view)
{
    pthread_mutex_lock(&views->lock);
    const bool last = --view->n_users == 0;
    pthread_mutex_unlock(&views->lock);
    if (last)
        free_view(view);
}

hd_status hd__view_begin(hd_view_reader *reader, hd_views *views, sqlite3 *db, hd_error *err)
{
    *reader = (hd_view_reader){.views = views, .rows = {.db = db}};
    int64_t epoch = 0, generation = 0;
    HD_TRY(read_state(db, &epoch, &generation, err));
    hd_view *view = NULL;
    pthread_mutex_lock(&views->lock);
    if (views->current != NULL && views->current->epoch == epoch && views->current->generation == generation) {
        view = views->current;
        view->n_users++;
    }
    pthread_mutex_unlock(&views->lock);
    if (view == NULL) {
        HD_TRY(read_view(db, epoch, generation, &view, err));
        hd_view *before = NULL;
        pthread_mutex_lock(&views->lock);
        if (views->current == NULL || views->current->epoch != epoch || views->current->generation < generation) {
            before = views->current;
            views->current = view;
            view->n_users++;
        }
        pthread_mutex_unlock(&views->lock);
        if (before != NULL)
            release_view(views, before);
    }
    reader->view = view;
    return HD_OK;
}

void hd__view_end(hd_view_reader *reader)
{
    for (size_t i = 0; i < reader->n_held; i++)
        hd__postings_cache_release(reader->views->cache, reader->held[i]);
    hd__free(reader->held);
    hd__segment_reader_end(&reader->rows);
    if (reader->view != NULL)
        release_view(reader->views, (hd_view *)reader->view);
    *reader = (hd_view_reader){0};
}

/* ---- their parts -------------------------------------------------------------------------------- */

/* Makes sure that one more part can be held. */
static hd_status reserve_hold(hd_view_reader *reader, hd_error *err)
{
    if (reader->n_held < reader->held_capacity)
        return HD_OK;
    const size_t capacity = reader->held_capacity * 2 + 32;
    hd_part **held = hd__realloc(reader->held, hd__mul(capacity, sizeof *held));
    if (held == NULL)
        return fail_memory(err);
    reader->held = held;
    reader->held_capacity = capacity;
    return HD_OK;
}

static hd_part_key key_of(const hd_view_reader *reader, const hd_segment *segment, hd_part_kind kind, uint64_t place)
{
    return (hd_part_key){.epoch = reader->view->epoch, .place = place, .segment = segment->id, .kind = kind};
}

/* The part from the cache, held until the end, or NULL and room to hold it. */
static hd_status take_part(hd_view_reader *reader, const hd_part_key *key, hd_part **part, hd_error *err)
{
    HD_TRY(reserve_hold(reader, err));
    *part = hd__postings_cache_take(reader->views->cache, key);
    if (*part != NULL)
        reader->held[reader->n_held++] = *part;
    return HD_OK;
}

static hd_part *put_part(hd_view_reader *reader, hd_part *part)
{
    part = hd__postings_cache_put(reader->views->cache, part);
    reader->held[reader->n_held++] = part;
    return part;
}

/* A new part whose end is n bytes of a stream; what stands before is `head` bytes. */
static hd_status read_part(hd_view_reader *reader, const hd_part_key *key, const hd_segment *segment,
                           hd_segment_stream stream, uint64_t offset, uint64_t n, size_t head, hd_part **part, hd_error *err)
{
    if (n > segment->stream_bytes[stream])
        return hd__segment_damaged(reader->rows.db, segment, "a stream is too short", err);
    *part = hd__postings_part_new(key, hd__add(head, (size_t)n));
    if (*part == NULL)
        return fail_memory(err);
    hd_status status = hd__segment_read(&reader->rows, segment, stream, offset, (size_t)n, (*part)->data + head, err);
    if (status != HD_OK)
        hd__free(*part);
    return status;
}

/* The entries of an index, counted (entries NULL) or written. False: it is none. */
static bool read_index(hd_span bytes, const hd_segment *segment, index_entry *entries, size_t *n)
{
    hd_cursor cursor = hd__cursor(bytes);
    uint64_t offset = 0;
    size_t count = 0;
    for (; hd__cursor_left(&cursor) > 0; count++) {
        const uint8_t len = hd__cursor_u8(&cursor);
        const size_t at = bytes.len - hd__cursor_left(&cursor);
        (void)hd__cursor_take(&cursor, len);
        const uint64_t n_bytes = hd__varint_read(&cursor);
        if (cursor.failed || n_bytes > segment->stream_bytes[HD_STREAM_TERMS] - offset || n_bytes > UINT32_MAX)
            return false;
        if (entries != NULL)
            entries[count] = (index_entry){offset, (uint32_t)n_bytes, (uint32_t)at, len};
        offset += n_bytes;
    }
    *n = count;
    return bytes.len <= UINT32_MAX;
}

static hd_status take_index(hd_view_reader *reader, const hd_segment *segment, const index_part **index, hd_error *err)
{
    const hd_part_key key = key_of(reader, segment, HD_PART_INDEX, 0);
    hd_part *part;
    HD_TRY(take_part(reader, &key, &part, err));
    if (part == NULL) {
        hd_part *raw;
        const uint64_t n_bytes = segment->stream_bytes[HD_STREAM_INDEX];
        HD_TRY(read_part(reader, &key, segment, HD_STREAM_INDEX, 0, n_bytes, 0, &raw, err));
        size_t n;
        const bool sane = read_index(hd__span(raw->data, raw->bytes), segment, NULL, &n);
        const size_t head = sizeof(index_part) + (sane ? n : 0) * sizeof(index_entry);
        part = sane ? hd__postings_part_new(&key, head + raw->bytes) : NULL;
        if (part == NULL) {
            hd__free(raw);
            return sane ? fail_memory(err) : hd__segment_damaged(reader->rows.db, segment, "its index is none", err);
        }
        index_part *made = (index_part *)part->data;
        memcpy(part->data + head, raw->data, raw->bytes);
        *made = (index_part){n, part->data + head};
        (void)read_index(hd__span(made->bytes, raw->bytes), segment, made->entries, &n);
        hd__free(raw);
        part = put_part(reader, part);
    }
    *index = (const index_part *)part->data;
    return HD_OK;
}

/* The last block whose first term is not after the text; NULL: none is. */
static const index_entry *find_block(const index_part *index, hd_span text)
{
    size_t low = 0, high = index->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const index_entry *entry = &index->entries[middle];
        if (hd__term_compare(hd__span(index->bytes + entry->first_at, entry->first_len), text) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &index->entries[low - 1] : NULL;
}

hd_status hd__view_term(hd_view_reader *reader, const hd_segment *segment, hd_span text, hd_term *term, hd_error *err)
{
    const index_part *index = NULL;
    HD_TRY(take_index(reader, segment, &index, err));
    const index_entry *entry = find_block(index, text);
    term->len = 0;
    term->n_postings = term->n_removed = 0;
    if (entry == NULL)
        return HD_OK;
    const hd_part_key key = key_of(reader, segment, HD_PART_TERMS, entry->offset);
    hd_part *part;
    HD_TRY(take_part(reader, &key, &part, err));
    if (part == NULL) {
        HD_TRY(read_part(reader, &key, segment, HD_STREAM_TERMS, entry->offset, entry->bytes, 0, &part, err));
        part = put_part(reader, part);
    }
    hd_cursor block = hd__cursor(hd__span(part->data, part->bytes));
    while (hd__cursor_left(&block) > 0) {
        if (!hd__term_next(&block, segment, term))
            return hd__segment_damaged(reader->rows.db, segment, "a block of terms is none", err);
        const int order = hd__term_compare(hd__term_text(term), text);
        if (order == 0)
            return HD_OK;
        if (order > 0)
            break;
    }
    term->n_postings = term->n_removed = 0;
    return HD_OK;
}

hd_status hd__view_list(hd_view_reader *reader, const hd_segment *segment, const hd_term *term, const hd_posting_list **list,
                        hd_error *err)
{
    const hd_part_key key = key_of(reader, segment, HD_PART_LIST, term->list_offset);
    hd_part *part;
    HD_TRY(take_part(reader, &key, &part, err));
    if (part == NULL) {
        const size_t memory = hd__posting_list_memory(term->n_postings), head = sizeof(hd_posting_list) + memory;
        HD_TRY(read_part(reader, &key, segment, HD_STREAM_LISTS, term->list_offset, term->list_bytes, head, &part, err));
        hd_posting_list *opened = (hd_posting_list *)part->data;
        if (!hd__posting_list_open(hd__span(part->data + head, (size_t)term->list_bytes), term->n_postings,
                                   segment->n_chunks, part->data + sizeof *opened, opened)) {
            hd__free(part);
            return hd__segment_damaged(reader->rows.db, segment, "a posting list is none", err);
        }
        part = put_part(reader, part);
    }
    *list = (const hd_posting_list *)part->data;
    return HD_OK;
}

hd_status hd__view_lengths(hd_view_reader *reader, const hd_segment *segment, const uint16_t **lengths, hd_error *err)
{
    const hd_part_key key = key_of(reader, segment, HD_PART_LENGTHS, 0);
    hd_part *part;
    HD_TRY(take_part(reader, &key, &part, err));
    if (part == NULL) {
        HD_TRY(
            read_part(reader, &key, segment, HD_STREAM_LENGTHS, 0, segment->stream_bytes[HD_STREAM_LENGTHS], 0, &part, err));
        part = put_part(reader, part);
    }
    *lengths = (const uint16_t *)(const void *)part->data;
    return HD_OK;
}

static void set_bits(const hd_posting_block *block, uint32_t first, uint32_t n, uint64_t *words)
{
    for (uint32_t i = 0; i < block->n; i++) {
        const uint32_t id = first + block->ids[i];
        if (id < n)
            words[id / 64] |= (uint64_t)1 << id % 64;
    }
}

hd_status hd__view_chunks(hd_view_reader *reader, const hd_segment *segment, hd_span text, uint32_t n, uint64_t *words,
                          hd_error *err)
{
    hd_term term;
    HD_TRY(hd__view_term(reader, segment, text, &term, err));
    hd_posting_block block;
    bool sane = true;
    if (term.n_postings > HD_POSTING_BLOCK) {
        const hd_posting_list *list;
        HD_TRY(hd__view_list(reader, segment, &term, &list, err));
        for (uint32_t i = 0; i < list->n_blocks && sane; i++) {
            sane = hd__posting_list_decode(list, i, &block);
            if (sane)
                set_bits(&block, segment->first, n, words);
        }
    } else if (term.n_postings > 0) {
        sane = hd__posting_list_decode_short(term.list, term.n_postings, segment->n_chunks, &block);
        if (sane)
            set_bits(&block, segment->first, n, words);
    }
    return sane ? HD_OK : hd__segment_damaged(reader->rows.db, segment, "a posting list is none", err);
}
