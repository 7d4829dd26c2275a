/* ingest_pipe.c - see ingest_pipe.h.
 *
 * Documents stand in one line. Three places in it move forward: up to where texts were given to the embedder, up to where
 * vectors have come back, and the head, which is written when enough is complete. Texts are counted through all documents,
 * so that a batch is a stretch of numbers, and its vectors can go when the head has passed it.
 */
#include "search/ingest_pipe.h"

#include "base/alloc.h"
#include "base/clock.h"

#define BATCH_TEXTS 512u              /* handed to the embedder at once */
#define BATCH_VECTOR_BYTES (8u << 20) /* and no more than what makes about so many bytes of token vectors */
#define TOKENS_PER_TEXT 256u
#define MAX_STARTED 4u          /* batches at work */
#define WRITE_CHUNKS 4096u      /* a transaction when so many chunks are complete, */
#define WRITE_BYTES (64u << 20) /* or so many bytes of them, */
#define WRITE_S 5.0             /* or after so long */

typedef struct batch {
    struct batch *next;
    hd_embedded *embedded;
    uint64_t end; /* one past the number of its last text */
    size_t bytes; /* of its vectors */
} batch;

typedef struct place {
    hd_prepared *document; /* NULL: at the end of the line */
    size_t text;           /* in it */
} place;

struct hd_ingest_pipe {
    hd_ingest_pipe_options options;
    hd_prepared *head, *tail;
    place to_start, to_collect;
    uint64_t n_added, n_started, n_collected, n_written; /* texts */
    batch *kept, *last, *working;                        /* all in order; `working` is the first that is not collected */
    size_t n_working, batch_texts;
    size_t complete_bytes;
    uint64_t n_tokens;
    uint64_t waiting_since_ns; /* the oldest document that is not written; 0: none */
    hd_text texts[BATCH_TEXTS];
};

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for documents on their way into the index");
}

hd_status hd__ingest_pipe_open(const hd_ingest_pipe_options *options, hd_ingest_pipe **pipe, hd_error *err)
{
    hd_ingest_pipe *p = hd__calloc(1, sizeof *p);
    if (p == NULL)
        return no_memory(err);
    p->options = *options;
    p->batch_texts = BATCH_TEXTS;
    const uint32_t width = options->embedder != NULL ? options->embedder->identity.n_token_dimensions : 0;
    if (width > 0) {
        const size_t each = TOKENS_PER_TEXT * (size_t)width * sizeof(float), fit = BATCH_VECTOR_BYTES / each;
        p->batch_texts = fit < 8 ? 8 : fit < BATCH_TEXTS ? fit : BATCH_TEXTS;
    }
    *pipe = p;
    return HD_OK;
}

/* ---- embedding ---- */

/* Steps over documents that have no further text. */
static void settle(place *at)
{
    while (at->document != NULL && at->text >= at->document->n) {
        at->document = at->document->next;
        at->text = 0;
    }
}

static hd_status start_batch(hd_ingest_pipe *p, hd_error *err)
{
    place at = p->to_start;
    size_t n = 0;
    for (settle(&at); at.document != NULL && n < p->batch_texts; settle(&at))
        p->texts[n++] = at.document->texts[at.text++];
    if (n == 0)
        return HD_OK;
    batch *b = hd__calloc(1, sizeof *b);
    if (b == NULL)
        return no_memory(err);
    const hd_embedder *embedder = p->options.embedder;
    const hd_status status = embedder->start(embedder->data, p->texts, n, &b->embedded, err);
    if (status != HD_OK) {
        hd__free(b);
        return status;
    }
    p->to_start = at;
    p->n_started += n;
    b->end = p->n_started;
    if (p->last != NULL)
        p->last->next = b;
    else
        p->kept = b;
    p->last = b;
    p->working = p->working != NULL ? p->working : b;
    p->n_working++;
    return HD_OK;
}

/* Waits for the oldest batch at work and gives its vectors to the documents. */
static hd_status collect_batch(hd_ingest_pipe *p, hd_error *err)
{
    const hd_embedder *embedder = p->options.embedder;
    const hd_identity *identity = &embedder->identity;
    batch *b = p->working;
    const hd_chunk_vectors *vectors;
    uint64_t n_tokens;
    p->working = b->next;
    p->n_working--;
    HD_TRY(embedder->wait(b->embedded, &vectors, &n_tokens, err));
    p->n_tokens += n_tokens;
    for (; p->n_collected < b->end; p->n_collected++, vectors++) {
        settle(&p->to_collect);
        hd_prepared *d = p->to_collect.document;
        d->vectors[p->to_collect.text++] = *vectors;
        d->n_embedded++;
        b->bytes += identity->n_dimensions * sizeof(float) + vectors->sparse.n * 8 +
                    vectors->n_token_vectors * identity->n_token_dimensions * sizeof(float);
    }
    p->complete_bytes += b->bytes;
    return HD_OK;
}

/* ---- writing ---- */

static hd_status write_one(hd_write *write, hd_prepared *d, hd_error *err)
{
    switch (d->kind) {
    case HD_PREPARED_PUT: return hd__document_put(write, &d->row, d->chunks, d->vectors, d->n, err);
    case HD_PREPARED_MOVE: return hd__document_move(write, d->old_id, &d->row, err);
    case HD_PREPARED_LABEL: return hd__document_move(write, d->row.id, &d->row, err);
    case HD_PREPARED_TOUCH: return hd__document_touch(write, d->row.id, d->row.size, d->row.mtime_ns, err);
    }
    return HD_OK;
}

static bool is_complete(const hd_prepared *d)
{
    return d != NULL && d->n_embedded == d->n;
}

/* Takes the head out of the line and frees batches whose texts are all written. */
static void drop_head(hd_ingest_pipe *p)
{
    hd_prepared *d = p->head;
    if (p->options.written != NULL)
        p->options.written(d, p->options.data);
    if (p->to_start.document == d)
        p->to_start = (place){d->next, 0};
    if (p->to_collect.document == d)
        p->to_collect = (place){d->next, 0};
    p->n_written += d->n;
    p->head = d->next;
    p->tail = p->head != NULL ? p->tail : NULL;
    hd__prepared_free(d);
    while (p->kept != NULL && p->kept != p->working && p->kept->end <= p->n_written) {
        batch *b = p->kept;
        p->complete_bytes -= b->bytes;
        p->kept = b->next;
        p->last = p->kept != NULL ? p->last : NULL;
        p->options.embedder->free(b->embedded);
        hd__free(b);
    }
}

/* What cannot be kept of a document is kept in it, and the others are written. */
static hd_status write_or_note(hd_write *write, hd_prepared *d, hd_error *err)
{
    hd_error why = {0};
    const hd_status status = write_one(write, d, &why);
    if (status == HD_ERR_NOT_FOUND && d->kind != HD_PREPARED_PUT)
        return HD_OK; /* another process has removed it: the next run finds the file anew */
    if (status == HD_ERR_ARG || status == HD_ERR_LIMIT) {
        hd_error *failed = hd__arena_alloc(&d->arena, sizeof *failed);
        if (failed == NULL)
            return no_memory(err);
        *failed = why;
        d->failed = failed;
        return HD_OK;
    }
    if (status != HD_OK && err != NULL)
        *err = why;
    return status;
}

/* Writes the documents at the head that are complete, in one transaction. */
static hd_status write_complete(hd_ingest_pipe *p, hd_error *err)
{
    if (!is_complete(p->head))
        return HD_OK;
    hd_write *write;
    HD_TRY(hd__write_begin(p->options.store, &write, err));
    size_t n = 0;
    hd_status status = HD_OK;
    for (hd_prepared *d = p->head; is_complete(d) && status == HD_OK; d = d->next, n++)
        status = write_or_note(write, d, err);
    if (status != HD_OK) {
        hd__write_abandon(write);
        return status;
    }
    HD_TRY(hd__write_commit(write, err));
    for (; n > 0; n--)
        drop_head(p);
    p->waiting_since_ns = p->head != NULL ? hd__now_ns() : 0;
    return HD_OK;
}

static bool wants_writing(const hd_ingest_pipe *p)
{
    if (p->options.at_once || !is_complete(p->head))
        return false;
    const uint64_t n_complete = hd__ingest_pipe_chunks(p) - p->n_written;
    return n_complete >= WRITE_CHUNKS || p->complete_bytes >= WRITE_BYTES ||
           hd__seconds_since(p->waiting_since_ns) > WRITE_S;
}

hd_status hd__ingest_pipe_tick(hd_ingest_pipe *p, hd_error *err)
{
    return wants_writing(p) ? write_complete(p, err) : HD_OK;
}

hd_status hd__ingest_pipe_add(hd_ingest_pipe *p, hd_prepared *prepared, hd_error *err)
{
    prepared->next = NULL;
    if (p->tail != NULL)
        p->tail->next = prepared;
    else
        p->head = prepared;
    p->tail = prepared;
    if (p->to_start.document == NULL)
        p->to_start = (place){prepared, 0};
    if (p->to_collect.document == NULL)
        p->to_collect = (place){prepared, 0};
    if (p->waiting_since_ns == 0)
        p->waiting_since_ns = hd__now_ns();
    p->n_added += prepared->n;
    while (p->options.embedder != NULL && p->n_added - p->n_started >= p->batch_texts) {
        if (p->n_working == MAX_STARTED)
            HD_TRY(collect_batch(p, err));
        HD_TRY(start_batch(p, err));
        HD_TRY(hd__ingest_pipe_tick(p, err));
    }
    return hd__ingest_pipe_tick(p, err);
}

hd_status hd__ingest_pipe_finish(hd_ingest_pipe *p, bool stop, hd_error *err)
{
    while (!stop && p->options.embedder != NULL && (p->n_started < p->n_added || p->n_working > 0)) {
        while (p->n_started < p->n_added && p->n_working < MAX_STARTED)
            HD_TRY(start_batch(p, err));
        HD_TRY(collect_batch(p, err));
        HD_TRY(hd__ingest_pipe_tick(p, err));
    }
    return write_complete(p, err);
}

uint64_t hd__ingest_pipe_chunks(const hd_ingest_pipe *p)
{
    return p->options.embedder != NULL ? p->n_collected : p->n_added;
}

uint64_t hd__ingest_pipe_tokens(const hd_ingest_pipe *p)
{
    return p->n_tokens;
}

void hd__ingest_pipe_close(hd_ingest_pipe *p)
{
    if (p == NULL)
        return;
    while (p->kept != NULL) {
        batch *b = p->kept;
        p->kept = b->next;
        p->options.embedder->free(b->embedded);
        hd__free(b);
    }
    while (p->head != NULL) {
        hd_prepared *d = p->head;
        p->head = d->next;
        hd__prepared_free(d);
    }
    hd__free(p);
}
