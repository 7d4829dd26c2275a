/* sentencepiece.c - the pieces of a SentencePiece model: sentencepiece.bpe.model, spiece.model. What a tokenizer makes of
 * them is its class's (tokenizer_folder.c).
 *
 * The file is a protocol buffer, ModelProto of sentencepiece_model.proto. What is read of it:
 *
 *   1 pieces, each          1 text, 2 score (float), 3 kind: 1 normal (when it is not there, too), 3 control, 4 user-defined
 *   2 trainer_spec          3 model type: 1 Unigram (when it is not there, too), 2 BPE, 3 words, 4 characters
 *   3 normalizer_spec       2 precompiled_charsmap
 *
 * Its first three pieces are <unk> <s> </s>. fairseq, which trained XLM-RoBERTa, had <s> <pad> </s> <unk> in front of the
 * others and <mask> behind them, and CamemBERT's has both.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "token/tokenizer_parts.h"

enum { MODEL_UNIGRAM = 1, PIECE_NORMAL = 1, PIECE_CONTROL = 3, PIECE_USER_DEFINED = 4 };
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

typedef struct field {
    uint64_t number;
    unsigned wire;
    uint64_t value; /* VARINT, 64, 32 */
    hd_span bytes;  /* BYTES */
} field;

static uint64_t take_varint(hd_cursor *c)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = hd__cursor_u8(c);
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return value;
    }
    c->failed = true;
    return 0;
}

/* The next field of a message; false at its end, and with the cursor failed when it is malformed. */
static bool take_field(hd_cursor *c, field *f)
{
    if (c->failed || hd__cursor_left(c) == 0)
        return false;
    uint64_t tag = take_varint(c), len;
    *f = (field){.number = tag >> 3, .wire = (unsigned)(tag & 7)};
    switch (f->wire) {
    case WIRE_VARINT: f->value = take_varint(c); break;
    case WIRE_64: f->value = hd__cursor_u64(c); break;
    case WIRE_32: f->value = hd__cursor_u32(c); break;
    case WIRE_BYTES:
        len = take_varint(c);
        f->bytes = hd__cursor_take(c, len < SIZE_MAX ? (size_t)len : SIZE_MAX);
        break;
    default: c->failed = true;
    }
    return !c->failed;
}

static hd_status malformed(const char *path, const char *message, hd_error *err)
{
    return hd__fail(err, HD_ERR_FORMAT, "%s: not a SentencePiece model: %s is not a protocol buffer", path, message);
}

static hd_status add_piece(hd_token_model *model, hd_span text, double score, const char *path, hd_error *err)
{
    HD_TRY(hd__vocab_add(&model->vocab, text, model->vocab.n_records, path, err));
    return hd__unigram_add_score(&model->unigram, score, err);
}

typedef struct reader {
    const char *path;
    const hd_piece_order *order;
    hd_token_model *model;
    hd_span *charsmap;
    json_t *controls;
    uint32_t n_pieces;
    hd_error *err;
} reader;

static hd_status read_piece(reader *r, hd_span message)
{
    hd_cursor c = hd__cursor(message);
    field f;
    hd_span text = hd__span("", 0);
    float score = 0;
    uint64_t kind = PIECE_NORMAL;
    const uint32_t number = r->n_pieces++;
    while (take_field(&c, &f)) {
        uint32_t bits = (uint32_t)f.value;
        if (f.number == 1 && f.wire == WIRE_BYTES)
            text = f.bytes;
        else if (f.number == 2 && f.wire == WIRE_32)
            memcpy(&score, &bits, sizeof score);
        else if (f.number == 3 && f.wire == WIRE_VARINT)
            kind = f.value;
    }
    if (c.failed)
        return malformed(r->path, "a piece", r->err);
    if (hd__utf8_valid_len(text) != text.len || !(score > -1e30f && score < 1e30f))
        return hd__fail(r->err, HD_ERR_FORMAT, "%s: piece %u is not UTF-8, or its score not a number", r->path, number);
    if ((kind == PIECE_CONTROL || kind == PIECE_USER_DEFINED) && text.len > 0 && memchr(text.ptr, '\0', text.len) == NULL) {
        if (json_array_size(r->controls) == HD_LIMIT_ADDED_TOKENS)
            return hd__fail(r->err, HD_ERR_LIMIT, "%s: more than %u control pieces", r->path, HD_LIMIT_ADDED_TOKENS);
        if (json_array_append_new(r->controls, json_stringn(text.ptr, text.len)) != 0)
            return hd__fail(r->err, HD_ERR_MEMORY, "%s: no memory for its control pieces", r->path);
    }
    return number < r->order->n_replaced ? HD_OK : add_piece(r->model, text, (double)score, r->path, r->err);
}

static hd_status check_trainer(hd_span message, const char *path, hd_error *err)
{
    static const char *const types[] = {"0", "Unigram", "BPE", "words", "characters"};
    hd_cursor c = hd__cursor(message);
    field f;
    uint64_t type = MODEL_UNIGRAM;
    while (take_field(&c, &f))
        if (f.number == 3 && f.wire == WIRE_VARINT)
            type = f.value;
    if (c.failed)
        return malformed(path, "trainer_spec", err);
    if (type != MODEL_UNIGRAM)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: a SentencePiece model of type %s is not supported, only Unigram", path,
                        type < sizeof types / sizeof *types ? types[type] : "unknown");
    return HD_OK;
}

static hd_status read_normalizer(const reader *r, hd_span message)
{
    hd_cursor c = hd__cursor(message);
    field f;
    while (take_field(&c, &f))
        if (f.number == 2 && f.wire == WIRE_BYTES)
            *r->charsmap = f.bytes;
    return c.failed ? malformed(r->path, "normalizer_spec", r->err) : HD_OK;
}

static hd_status read_fields(reader *r, hd_span bytes)
{
    hd_cursor c = hd__cursor(bytes);
    field f;
    while (take_field(&c, &f)) {
        if (f.number == 1 && f.wire == WIRE_BYTES)
            HD_TRY(read_piece(r, f.bytes));
        else if (f.number == 2 && f.wire == WIRE_BYTES)
            HD_TRY(check_trainer(f.bytes, r->path, r->err));
        else if (f.number == 3 && f.wire == WIRE_BYTES)
            HD_TRY(read_normalizer(r, f.bytes));
    }
    return c.failed ? malformed(r->path, "it", r->err) : HD_OK;
}

/* What the class had in place of a piece that is no word counts for nothing, in CamemBERT's case for very little. */
static double score_of(const char *first)
{
    return strcmp(first, "<unk>NOTUSED") == 0 ? -100 : 0;
}

hd_status hd__sentencepiece_read(hd_span bytes, const char *path, const hd_piece_order *order, hd_token_model *model,
                                 hd_span *charsmap, json_t *controls, hd_error *err)
{
    enum { LEAST_PIECES = 4 };
    reader r = {path, order, model, charsmap, controls, 0, err};
    char extra[32];
    for (size_t i = 0; i < sizeof order->first / sizeof *order->first && order->first[i] != NULL; i++)
        HD_TRY(add_piece(model, hd__span_of(order->first[i]), score_of(order->first[i]), path, err));
    HD_TRY(read_fields(&r, bytes));
    if (r.n_pieces < LEAST_PIECES)
        return hd__fail(err, HD_ERR_FORMAT, "%s: %u pieces; <unk>, <s>, </s> and others were expected", path, r.n_pieces);
    for (uint32_t i = order->n_extra_ids; i-- > 0;) {
        const int len = snprintf(extra, sizeof extra, "<extra_id_%u>", i);
        HD_TRY(add_piece(model, hd__span(extra, (size_t)len), 0, path, err));
    }
    return order->has_mask ? add_piece(model, hd__span_of("<mask>"), 0, path, err) : HD_OK;
}
