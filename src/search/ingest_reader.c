/* ingest_reader.c - see ingest_reader.h.
 *
 * readers->lock guards the line of files and each file's list of ready documents; `room` tells the threads that some were
 * taken, `ready` the caller that some came. A thread waits for room only with the file that is being taken or one after it,
 * and the pool runs files in their order: the oldest always comes on.
 */
#include "search/ingest_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/pool.h"
#include "base/timed_cond.h"
#include "ingest/encoding.h"

#define N_THREADS 3u
#define READY_BYTES (4u << 20)  /* of one file's documents, waiting to be taken */
#define OPEN_BYTES (128u << 20) /* of files being read; one that is larger is alone */
#define HEAD_BYTES 65536u       /* tell what kind a file is */
#define PIECE_BYTES (1u << 20)  /* of JSONL, to the end of a line */
#define WAIT_NS 100000000

struct hd_ingest_file {
    hd_task_node node; /* first */
    hd_ingest_file *next;
    hd_ingest_readers *readers;
    const hd_ingest_area *area;
    const char *path, *name, *id; /* in the arena */
    bool is_known, has_many;
    uint64_t size, mtime_ns;
    uint64_t share;  /* of the bytes that may be open at once */
    hd_hash128 hash; /* of all of it, or of the line at hand */
    uint64_t n_made;
    hd_lines lines;        /* of JSONL */
    hd_snapshot *snapshot; /* while is_known's documents are compared */
    hd_arena arena;
    hd_prepared *first, *last; /* ready */
    size_t ready_bytes;
    bool is_done;
    hd_status status;
    hd_error why;
};

struct hd_ingest_readers {
    hd_ingest_readers_options options;
    hd_pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t room, ready;
    hd_ingest_file *head, *tail, *ended; /* ended: its strings were given to the caller */
    size_t n_waiting;
    uint64_t open_bytes;
    atomic_bool stop;
};

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory to read a file");
}

/* ---- what has become of it ---- */

/* Hands a document over; it goes in any case. */
static hd_status hand_over(hd_ingest_file *f, hd_prepared *document, hd_error *err)
{
    hd_ingest_readers *r = f->readers;
    pthread_mutex_lock(&r->lock);
    while (f->ready_bytes > READY_BYTES && !r->stop)
        pthread_cond_wait(&r->room, &r->lock);
    const bool stop = r->stop;
    if (!stop) {
        document->next = NULL;
        if (f->last != NULL)
            f->last->next = document;
        else
            f->first = document;
        f->last = document;
        f->ready_bytes += document->bytes;
        pthread_cond_signal(&r->ready);
    }
    pthread_mutex_unlock(&r->lock);
    if (stop)
        hd__prepared_free(document);
    return stop ? hd__fail(err, HD_ERR_CANCELLED, "interrupted") : HD_OK;
}

static hd_document_row row_of(const hd_ingest_file *f, const char *id)
{
    const char *source = f->readers->options.source;
    return (hd_document_row){.id = id,
                             .source = source != NULL ? source : f->area->label,
                             .root = f->area->root,
                             .path = f->path,
                             .hash = f->hash,
                             .size = f->size,
                             .mtime_ns = f->mtime_ns};
}

static hd_status hand_over_row(hd_ingest_file *f, hd_prepared_kind kind, const hd_document_row *row, const char *old_id,
                               hd_error *err)
{
    hd_prepared *p;
    HD_TRY(hd__prepared_new(kind, &p, err));
    hd_status status = hd__prepared_set_row(p, row, err);
    if (status == HD_OK && old_id != NULL) {
        p->old_id = hd__arena_strndup(&p->arena, old_id, strlen(old_id));
        status = p->old_id != NULL ? HD_OK : no_memory(err);
    }
    if (status != HD_OK) {
        hd__prepared_free(p);
        return status;
    }
    return hand_over(f, p, err);
}

/* Whether a document is to have another label than it has. */
static bool is_labelled_anew(const hd_ingest_file *f, const hd_document_row *old)
{
    const char *source = f->readers->options.source;
    return source != NULL && strcmp(old->source, source) != 0;
}

/* Whether a document of the same id is the one at hand. Chunks may have ids that are made of its label. */
static bool is_same(const hd_ingest_file *f, const hd_document_row *old)
{
    const hd_ingest_readers_options *o = &f->readers->options;
    return old->hash.low == f->hash.low && old->hash.high == f->hash.high && strcmp(old->path, f->path) == 0 &&
           hd__prepared_is_cut(old, o->cut) && !(o->prepare.chunking == HD_CHUNKING_ANYLOOM && is_labelled_anew(f, old));
}

/* Whether the index has these bytes already, under this id or that of a document that is gone: then nothing is embedded.
 * *replaces: it has other bytes of this id. */
static hd_status find_same(hd_ingest_file *f, const char *id, bool *found, bool *replaces, hd_error *err)
{
    const hd_ingest_readers_options *o = &f->readers->options;
    hd_arena arena;
    const hd_document_row *old = NULL;
    hd_status status = HD_OK;
    *found = *replaces = false;
    hd__arena_init(&arena);
    if (f->is_known && f->snapshot == NULL)
        status = hd__snapshot_begin(o->store, &f->snapshot, err);
    if (status == HD_OK && f->is_known)
        status = hd__document_get(f->snapshot, id, &arena, &old, err);
    *replaces = old != NULL;
    const hd_document_row row = row_of(f, id);
    const char *gone = NULL;
    if (status == HD_OK && !o->force && old == NULL)
        gone = o->claim(f->hash, f->has_many ? NULL : id, o->data);
    if (gone != NULL) {
        status = hand_over_row(f, HD_PREPARED_MOVE, &row, gone, err);
    } else if (status == HD_OK && !o->force && old != NULL && is_same(f, old)) {
        gone = id;
        status = hand_over_row(f, is_labelled_anew(f, old) ? HD_PREPARED_LABEL : HD_PREPARED_TOUCH, &row, NULL, err);
    }
    *found = gone != NULL;
    hd__arena_clear(&arena);
    return status;
}

static hd_hash128 hash_of_line(const hd_extract *e)
{
    hd_hash128 hash = hd__hash128(e->text, 0);
    const char *const fields[] = {e->title, e->author, e->metadata, e->url, e->source, e->id};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i] != NULL)
            hash.low = hd__hash64(hd__span_of(fields[i]), hash.low + i);
    return hash;
}

/* A document of JSONL has its own id or the file's with a number, and is compared on its own. */
static hd_status take_extract(const hd_extract *extract, void *data, hd_error *err)
{
    hd_ingest_file *f = data;
    const hd_ingest_readers_options *o = &f->readers->options;
    char numbered[HD_LIMIT_DOCUMENT_ID_BYTES + 32];
    const char *id = f->id;
    bool found = false, replaces = false, again = false;
    if (f->has_many) {
        f->hash = hash_of_line(extract);
        snprintf(numbered, sizeof numbered, "%s#%llu", f->id, (unsigned long long)f->n_made);
        id = extract->id != NULL && extract->id[0] != '\0' ? extract->id : numbered;
        HD_TRY(hd__lines_take_id(&f->lines, id, &again, err));
    }
    f->n_made++;
    if (!again && (f->has_many || f->is_known)) /* what the index had of this id, an earlier line has replaced */
        HD_TRY(find_same(f, id, &found, &replaces, err));
    if (found)
        return HD_OK;
    hd_document_row row = row_of(f, id);
    if (o->source == NULL && extract->source != NULL && extract->source[0] != '\0')
        row.source = extract->source;
    row.url = extract->url;
    hd_prepared *p;
    HD_TRY(hd__prepare(&o->prepare, extract, &row, o->prepare.chunking == HD_CHUNKING_PLUGIN ? id : f->name, &p, err));
    if (p->row.created_at == 0)
        p->row.created_at = (int64_t)(f->mtime_ns / 1000000000u);
    p->replaces = replaces || again;
    return hand_over(f, p, err);
}

/* ---- bytes ---- */

/* Up to n bytes; fewer at the end of the file. */
static hd_status read_bytes(int fd, char *bytes, size_t n, size_t *n_read, hd_error *err)
{
    for (*n_read = 0; *n_read < n;) {
        const ssize_t got = read(fd, bytes + *n_read, n - *n_read);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return hd__fail_errno(err, errno, "cannot read it");
        if (got == 0)
            break;
        *n_read += (size_t)got;
    }
    return HD_OK;
}

static hd_status extract(hd_ingest_file *f, hd_span bytes, hd_error *err)
{
    hd_arena arena;
    hd__arena_init(&arena);
    const hd_status status = hd__extract(bytes, f->name, NULL, &arena, take_extract, f, err);
    hd__arena_clear(&arena);
    return status;
}

/* One document: its bytes decide whether it is read further. */
static hd_status take_whole(hd_ingest_file *f, hd_span bytes, hd_error *err)
{
    bool found, replaces;
    f->hash = hd__hash128(bytes, 0);
    HD_TRY(find_same(f, f->id, &found, &replaces, err));
    if (found)
        return HD_OK;
    const bool was_known = f->is_known;
    f->is_known = replaces; /* take_extract need not ask again */
    f->n_made = 0;
    const hd_extract nothing = {.kind = HD_KIND_TEXT, .title = "", .language = "", .text = {"", 0}};
    hd_status status = extract(f, bytes, err);
    if (status == HD_OK && f->n_made == 0) /* it is known that there is nothing in it */
        status = take_extract(&nothing, f, err);
    f->is_known = was_known;
    return status;
}

static hd_status fail_size(const hd_ingest_file *f, hd_error *err)
{
    return hd__fail(err, HD_ERR_LIMIT, "%llu bytes, at most %u are read", (unsigned long long)f->size, HD_LIMIT_FILE_BYTES);
}

/* Of UTF-16 and UTF-32, where the byte of a line's end may be half of another character. */
static bool is_wide(hd_span bytes)
{
    const hd_encoding encoding = hd__encoding_of(bytes);
    return encoding >= HD_ENCODING_UTF16_LE && encoding <= HD_ENCODING_UTF32_BE;
}

/* JSONL by pieces of whole lines. A piece grows until it holds one, or all of them where lines are not told by bytes. */
static hd_status take_lines(hd_ingest_file *f, int fd, hd_buffer *buffer, hd_error *err)
{
    const bool whole = buffer->len > 0 && is_wide(hd__buffer_span(buffer));
    bool more = true;
    if (whole && f->size > HD_LIMIT_FILE_BYTES)
        return fail_size(f, err);
    while (more || buffer->len > 0) {
        size_t n_read = 0;
        if (more) {
            char *room = hd__buffer_reserve(buffer, PIECE_BYTES);
            if (room == NULL)
                return no_memory(err);
            HD_TRY(read_bytes(fd, room, PIECE_BYTES, &n_read, err));
            buffer->len += n_read;
            more = n_read == PIECE_BYTES;
        }
        const size_t n = whole && more ? 0 : hd__lines_cut(&f->lines, buffer, !more);
        if (n == 0)
            continue;
        HD_TRY(hd__extract_lines(hd__span(buffer->ptr, n), &f->lines, take_extract, f, err));
        memmove(buffer->ptr, buffer->ptr + n, buffer->len - n);
        buffer->len -= n;
    }
    return HD_OK;
}

static void wait_for_share(hd_ingest_file *f)
{
    hd_ingest_readers *r = f->readers;
    pthread_mutex_lock(&r->lock);
    while (r->open_bytes > 0 && r->open_bytes + f->size > OPEN_BYTES && !r->stop)
        pthread_cond_wait(&r->room, &r->lock);
    f->share = f->size;
    r->open_bytes += f->share;
    pthread_mutex_unlock(&r->lock);
}

static void give_share_back(hd_ingest_file *f)
{
    pthread_mutex_lock(&f->readers->lock);
    f->readers->open_bytes -= f->share;
    f->share = 0;
    pthread_cond_broadcast(&f->readers->room);
    pthread_mutex_unlock(&f->readers->lock);
}

/* All of a file that is one document; `buffer` holds its first n bytes. */
static hd_status read_rest(hd_ingest_file *f, int fd, hd_buffer *buffer, hd_error *err)
{
    if (f->size > HD_LIMIT_FILE_BYTES)
        return fail_size(f, err);
    size_t rest = f->size > buffer->len ? (size_t)f->size - buffer->len : 0;
    wait_for_share(f);
    char *room = hd__buffer_reserve(buffer, rest + 1);
    if (room == NULL)
        return no_memory(err);
    HD_TRY(read_bytes(fd, room, rest, &rest, err));
    buffer->len += rest;
    return take_whole(f, hd__buffer_span(buffer), err);
}

static hd_status read_file(hd_ingest_file *f, int fd, hd_error *err)
{
    hd_buffer buffer;
    size_t n = 0;
    hd__buffer_init(&buffer);
    char *room = hd__buffer_reserve(&buffer, HEAD_BYTES);
    hd_status status = room != NULL ? read_bytes(fd, room, HEAD_BYTES, &n, err) : no_memory(err);
    buffer.len += n;
    const hd_kind kind = status == HD_OK ? hd__kind_of(hd__buffer_span(&buffer), f->name, NULL) : HD_KIND_UNKNOWN;
    f->has_many = kind == HD_KIND_JSONL;
    if (status == HD_OK && kind == HD_KIND_UNKNOWN && buffer.len > 0) {
        status = extract(f, hd__buffer_span(&buffer), err); /* says why it is none */
    } else if (status == HD_OK && f->has_many) {
        status = take_lines(f, fd, &buffer, err);
        const hd_status told = hd__lines_end(&f->lines, status == HD_OK ? err : NULL);
        status = status != HD_OK ? status : told;
        f->has_many = f->n_made > 0;
        if (status == HD_OK && f->n_made == 0)
            status = take_whole(f, hd__span("", 0), err);
        f->has_many = true;
    } else if (status == HD_OK) {
        status = read_rest(f, fd, &buffer, err);
        give_share_back(f);
    }
    if (status == HD_ERR_UNSUPPORTED && kind != HD_KIND_UNKNOWN)
        status = HD_ERR_FORMAT; /* of a kind that text is got from, but not from this one: somebody may want to know */
    hd__buffer_clear(&buffer);
    return status;
}

/* ---- one file ---- */

static hd_status open_file(hd_ingest_file *f, int *fd, hd_error *err)
{
    struct stat st;
    *fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* should it be a pipe by now, that does not wait */
    if (*fd < 0)
        return hd__fail_errno(err, errno, "cannot open it");
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode))
        return hd__fail(err, HD_ERR_IO, "no regular file any more");
    f->size = (uint64_t)st.st_size;
    f->mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    return HD_OK;
}

static void run_file(hd_task_node *node)
{
    hd_ingest_file *f = (hd_ingest_file *)(void *)node;
    hd_ingest_readers *r = f->readers;
    hd_error why = {0};
    hd_status status = HD_ERR_CANCELLED;
    if (!r->stop) {
        int fd;
        status = open_file(f, &fd, &why);
        if (status == HD_OK)
            status = read_file(f, fd, &why);
        if (fd >= 0)
            close(fd);
        if (f->snapshot != NULL)
            hd__snapshot_end(f->snapshot);
    }
    pthread_mutex_lock(&r->lock);
    f->status = status;
    f->why = why;
    f->why.status = status;
    f->is_done = true;
    pthread_cond_signal(&r->ready);
    pthread_mutex_unlock(&r->lock);
}

/* ---- all of them ---- */

hd_status hd__ingest_readers_open(const hd_ingest_readers_options *options, hd_ingest_readers **out, hd_error *err)
{
    hd_ingest_readers *r = hd__calloc(1, sizeof *r);
    if (r == NULL)
        return no_memory(err);
    r->options = *options;
    const hd_status status = hd__pool_open("heddle-read", N_THREADS, &r->pool, err);
    if (status != HD_OK) {
        hd__free(r);
        return status;
    }
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->room, NULL);
    hd__timed_cond_init(&r->ready);
    *out = r;
    return HD_OK;
}

static void free_file(hd_ingest_file *f)
{
    if (f == NULL)
        return;
    while (f->first != NULL) {
        hd_prepared *next = f->first->next;
        hd__prepared_free(f->first);
        f->first = next;
    }
    hd__arena_clear(&f->arena);
    hd__free(f);
}

void hd__ingest_readers_close(hd_ingest_readers *r)
{
    if (r == NULL)
        return;
    r->stop = true;
    pthread_mutex_lock(&r->lock);
    pthread_cond_broadcast(&r->room);
    pthread_mutex_unlock(&r->lock);
    hd__pool_close(r->pool);
    free_file(r->ended);
    while (r->head != NULL) {
        hd_ingest_file *next = r->head->next;
        free_file(r->head);
        r->head = next;
    }
    pthread_cond_destroy(&r->ready);
    pthread_cond_destroy(&r->room);
    pthread_mutex_destroy(&r->lock);
    hd__free(r);
}

hd_status hd__ingest_readers_push(hd_ingest_readers *r, const hd_ingest_area *area, const char *path, const char *name,
                                  bool is_known, hd_error *err)
{
    hd_ingest_file *f = hd__calloc(1, sizeof *f);
    if (f == NULL)
        return no_memory(err);
    hd__arena_init(&f->arena);
    *f = (hd_ingest_file){.node.run = run_file, .readers = r, .area = area, .is_known = is_known, .arena = f->arena};
    f->path = hd__arena_strndup(&f->arena, path, strlen(path));
    f->name = f->path != NULL ? f->path + strlen(path) - strlen(name) : NULL;
    f->id = hd__ingest_id(area->label, name, &f->arena);
    if (f->path == NULL || f->id == NULL) {
        free_file(f);
        return no_memory(err);
    }
    pthread_mutex_lock(&r->lock);
    if (r->tail != NULL)
        r->tail->next = f;
    else
        r->head = f;
    r->tail = f;
    r->n_waiting++;
    pthread_mutex_unlock(&r->lock);
    hd__pool_push(r->pool, &f->node);
    return HD_OK;
}

size_t hd__ingest_readers_waiting(const hd_ingest_readers *r)
{
    return r->n_waiting;
}

void hd__ingest_readers_take(hd_ingest_readers *r, hd_ingest_taken *taken)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    free_file(r->ended);
    r->ended = NULL;
    *taken = (hd_ingest_taken){0};
    hd_ingest_file *f = r->head; /* only this thread changes the line's head */
    if (f == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    while (f->first == NULL && !f->is_done && pthread_cond_timedwait(&r->ready, &r->lock, &until) == 0)
        continue;
    if (f->first != NULL) {
        taken->document = f->first;
        f->first = f->first->next;
        f->last = f->first != NULL ? f->last : NULL;
        f->ready_bytes -= taken->document->bytes;
        pthread_cond_broadcast(&r->room);
    }
    taken->is_end = f->is_done && f->first == NULL;
    if (taken->is_end) {
        r->head = f->next;
        r->tail = r->head != NULL ? r->tail : NULL;
        r->n_waiting--;
        r->ended = f;
        taken->path = f->path;
        taken->size = f->size;
        taken->mtime_ns = f->mtime_ns;
        taken->has_many = f->has_many;
        taken->status = f->status;
        taken->why = f->why;
    }
    pthread_mutex_unlock(&r->lock);
}
