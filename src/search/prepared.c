/* prepared.c - see prepared.h. */
#include "search/prepared.h"

#include <stdio.h>

#include "base/alloc.h"
#include "ingest/chunk.h"

/* Tokens of a chunk where nobody says otherwise: what models were trained to read at once, and few enough to be shown. */
#define CHUNK_TOKENS 256u
#define OVERLAP_SHARE 8u /* of a chunk's tokens */
#define MIN_CHUNK_TOKENS 8u

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the chunks of a document");
}

hd_status hd__prepared_new(hd_prepared_kind kind, hd_prepared **out, hd_error *err)
{
    hd_prepared *p = hd__calloc(1, sizeof *p);
    if (p == NULL)
        return no_memory(err);
    p->kind = kind;
    hd__arena_init(&p->arena);
    *out = p;
    return HD_OK;
}

void hd__prepared_free(hd_prepared *p)
{
    if (p == NULL)
        return;
    hd__arena_clear(&p->arena);
    hd__free(p);
}

/* A copy of the first of two texts that says something. */
static hd_status copy(hd_prepared *p, const char *first, const char *second, const char **text, hd_error *err)
{
    const char *from = first != NULL && first[0] != '\0' ? first : second != NULL ? second : "";
    *text = hd__arena_strndup(&p->arena, from, strlen(from));
    return *text != NULL ? HD_OK : no_memory(err);
}

static hd_status set_row(hd_prepared *p, const hd_document_row *row, const hd_extract *extract, hd_error *err)
{
    static const hd_extract nothing;
    const hd_extract *e = extract != NULL ? extract : &nothing;
    p->row = *row;
    HD_TRY(copy(p, row->id, e->id, &p->row.id, err));
    HD_TRY(copy(p, row->source, e->source, &p->row.source, err));
    HD_TRY(copy(p, row->root, NULL, &p->row.root, err));
    HD_TRY(copy(p, row->path, NULL, &p->row.path, err));
    HD_TRY(copy(p, row->title, e->title, &p->row.title, err));
    HD_TRY(copy(p, row->url, e->url, &p->row.url, err));
    HD_TRY(copy(p, row->author, e->author, &p->row.author, err));
    HD_TRY(copy(p, row->mime, e->mime, &p->row.mime, err));
    HD_TRY(copy(p, row->metadata, e->metadata, &p->row.metadata, err));
    HD_TRY(copy(p, row->cut, NULL, &p->row.cut, err));
    if (p->row.created_at == 0)
        p->row.created_at = e->created_at;
    return HD_OK;
}

hd_status hd__prepared_set_row(hd_prepared *prepared, const hd_document_row *row, hd_error *err)
{
    return set_row(prepared, row, NULL, err);
}

/* One memory for context and text: what is embedded is all of it, what is shown its end. */
static hd_status take_chunk(hd_prepared *p, const hd_chunk *chunk, size_t i, hd_error *err)
{
    const size_t n_context = strlen(chunk->context), n_between = n_context > 0 ? 2 : 0;
    char *text = hd__arena_alloc(&p->arena, n_context + n_between + chunk->text.len);
    if (text == NULL)
        return no_memory(err);
    memcpy(text, chunk->context, n_context);
    memcpy(text + n_context, "\n\n", n_between);
    memcpy(text + n_context + n_between, chunk->text.ptr, chunk->text.len);
    p->texts[i] = (hd_text){text, n_context + n_between + chunk->text.len};
    p->chunks[i] = (hd_chunk_row){.text = hd__span(text + n_context + n_between, chunk->text.len),
                                  .ordinal = chunk->ordinal,
                                  .begin = chunk->begin,
                                  .end = chunk->end,
                                  .line = chunk->line,
                                  .page = chunk->page,
                                  .is_code = chunk->is_code};
    HD_TRY(copy(p, chunk->key, NULL, &p->chunks[i].key, err));
    return copy(p, chunk->section, NULL, &p->chunks[i].section, err);
}

static hd_status take_chunks(hd_prepared *p, const hd_prepare_options *options, const hd_chunk *chunks, size_t n,
                             hd_error *err)
{
    p->n = n;
    p->chunks = hd__arena_calloc(&p->arena, n, sizeof *p->chunks);
    p->texts = hd__arena_calloc(&p->arena, n, sizeof *p->texts);
    if (p->chunks == NULL || p->texts == NULL)
        return no_memory(err);
    if (options->embedder != NULL) {
        p->vectors = hd__arena_calloc(&p->arena, n, sizeof *p->vectors);
        if (p->vectors == NULL)
            return no_memory(err);
    } else {
        p->n_embedded = n;
    }
    for (size_t i = 0; i < n; i++)
        HD_TRY(take_chunk(p, &chunks[i], i, err));
    return HD_OK;
}

static hd_chunk_options chunk_options(const hd_prepare_options *options)
{
    const hd_embedder *embedder = options->embedder;
    uint32_t most = options->chunk_tokens != 0 ? options->chunk_tokens : CHUNK_TOKENS;
    if (embedder != NULL && most > embedder->max_tokens)
        most = embedder->max_tokens;
    if (most < MIN_CHUNK_TOKENS)
        most = MIN_CHUNK_TOKENS;
    uint32_t overlap = options->overlap_tokens != 0 ? options->overlap_tokens : most / OVERLAP_SHARE;
    return (hd_chunk_options){.rule = options->chunking,
                              .max_tokens = most,
                              .overlap_tokens = overlap < most / 2 ? overlap : most / 2,
                              .token_ends = embedder != NULL ? embedder->token_ends : NULL,
                              .data = embedder != NULL ? embedder->data : NULL};
}

void hd__prepare_cut(const hd_prepare_options *options, char cut[HD_PREPARED_CUT_BYTES])
{
    static const char *const rules[] = {
        [HD_CHUNKING_AUTO] = "auto",
        [HD_CHUNKING_TOKENS] = "tokens",
        [HD_CHUNKING_ANYLOOM] = "anyloom",
        [HD_CHUNKING_PLUGIN] = "plugin",
    };
    const hd_chunk_options how = chunk_options(options);
    if ((unsigned)how.rule >= sizeof rules / sizeof rules[0])
        cut[0] = '\0'; /* which hd__chunk_make refuses */
    else if (how.rule == HD_CHUNKING_AUTO || how.rule == HD_CHUNKING_TOKENS)
        snprintf(cut, HD_PREPARED_CUT_BYTES, "%s %u/%u", rules[how.rule], how.max_tokens, how.overlap_tokens);
    else
        snprintf(cut, HD_PREPARED_CUT_BYTES, "%s", rules[how.rule]); /* whose lengths are their own */
}

bool hd__prepared_is_cut(const hd_document_row *row, const char *cut)
{
    return row->cut[0] == '\0' || strcmp(row->cut, cut) == 0;
}

hd_status hd__prepare(const hd_prepare_options *options, const hd_extract *extract, const hd_document_row *row,
                      const char *file, hd_prepared **prepared, hd_error *err)
{
    const hd_chunk_options how = chunk_options(options);
    char cut[HD_PREPARED_CUT_BYTES];
    hd_document_row with_cut = *row;
    hd_arena arena;
    hd_chunk *chunks;
    size_t n;
    hd_prepared *p = NULL;
    hd__prepare_cut(options, cut);
    with_cut.cut = cut;
    hd__arena_init(&arena);
    hd_status status = hd__prepared_new(HD_PREPARED_PUT, &p, err);
    if (status == HD_OK)
        status = set_row(p, &with_cut, extract, err);
    if (status == HD_OK)
        status = hd__chunk_make(extract, &how, p->row.source, file, &arena, &chunks, &n, err);
    if (status == HD_OK)
        status = take_chunks(p, options, chunks, n, err);
    hd__arena_clear(&arena);
    if (status != HD_OK) {
        hd__prepared_free(p);
        return status;
    }
    p->bytes = p->arena.used_bytes;
    *prepared = p;
    return HD_OK;
}
