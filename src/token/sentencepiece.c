/* sentencepiece.c - a tokenizer from sentencepiece.bpe.model, as `transformers` builds XLMRobertaTokenizer from such a
 * folder.
 *
 * The file is a protocol buffer, ModelProto of sentencepiece_model.proto. What is read of it:
 *
 *   1 pieces, each          1 text, 2 score (float)
 *   2 trainer_spec          3 model type: 1 Unigram (when it is not there, too), 2 BPE, 3 words, 4 characters
 *   3 normalizer_spec       2 precompiled_charsmap
 *
 * Its first three pieces are <unk> <s> </s>. fairseq, which trained these models, had <s> <pad> </s> <unk> in front of the
 * others and <mask> behind them; so has the tokenizer. The rest is as in the family's tokenizer.json: the charsmap, words at
 * white space with a mark in front, "<s> text </s>".
 */
#include "base/limits.h"
#include "base/utf8.h"
#include "token/charsmap.h"
#include "token/tokenizer_parts.h"

enum { N_FIRST = 4, N_REPLACED = 3, BEGIN_ID = 0, END_ID = 2, UNK_ID = 3 };
enum { MODEL_UNIGRAM = 1 };
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

static hd_status read_piece(hd_token_model *model, hd_span message, uint32_t number, const char *path, hd_error *err)
{
    hd_cursor c = hd__cursor(message);
    field f;
    hd_span text = hd__span("", 0);
    float score = 0;
    while (take_field(&c, &f)) {
        uint32_t bits = (uint32_t)f.value;
        if (f.number == 1 && f.wire == WIRE_BYTES)
            text = f.bytes;
        else if (f.number == 2 && f.wire == WIRE_32)
            memcpy(&score, &bits, sizeof score);
    }
    if (c.failed)
        return malformed(path, "a piece", err);
    if (hd__utf8_valid_len(text) != text.len || !(score > -1e30f && score < 1e30f))
        return hd__fail(err, HD_ERR_FORMAT, "%s: piece %u is not UTF-8, or its score not a number", path, number);
    return number < N_REPLACED ? HD_OK : add_piece(model, text, (double)score, path, err);
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

static hd_status read_normalizer(hd_tokenizer *t, hd_span message, const char *path, hd_error *err)
{
    hd_cursor c = hd__cursor(message);
    field f;
    hd_span charsmap = hd__span("", 0);
    while (take_field(&c, &f))
        if (f.number == 2 && f.wire == WIRE_BYTES)
            charsmap = f.bytes;
    if (c.failed)
        return malformed(path, "normalizer_spec", err);
    if (charsmap.len == 0)
        return HD_OK;
    hd_norm_step *step = hd__arena_calloc(&t->arena, 1, sizeof *step);
    hd_charsmap *map = hd__arena_calloc(&t->arena, 1, sizeof *map);
    if (step == NULL || map == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its settings", path);
    *step = (hd_norm_step){.kind = HD_NORM_PRECOMPILED, .charsmap = map};
    t->normalizer = (hd_normalizer){.steps = step, .n_steps = 1, .capacity = 1, .local = false};
    return hd__charsmap_read(charsmap, path, &t->arena, map, err);
}

static hd_status read_model(hd_tokenizer *t, hd_span bytes, const char *path, hd_error *err)
{
    static const char *const first[N_FIRST] = {"<s>", "<pad>", "</s>", "<unk>"};
    hd_cursor c = hd__cursor(bytes);
    field f;
    uint32_t n_pieces = 0;
    for (size_t i = 0; i < N_FIRST; i++)
        HD_TRY(add_piece(&t->model, hd__span_of(first[i]), 0, path, err));
    while (take_field(&c, &f)) {
        if (f.number == 1 && f.wire == WIRE_BYTES)
            HD_TRY(read_piece(&t->model, f.bytes, n_pieces++, path, err));
        else if (f.number == 2 && f.wire == WIRE_BYTES)
            HD_TRY(check_trainer(f.bytes, path, err));
        else if (f.number == 3 && f.wire == WIRE_BYTES)
            HD_TRY(read_normalizer(t, f.bytes, path, err));
    }
    if (c.failed)
        return malformed(path, "it", err);
    if (n_pieces <= N_REPLACED)
        return hd__fail(err, HD_ERR_FORMAT, "%s: %u pieces; <unk>, <s>, </s> and others were expected", path, n_pieces);
    return add_piece(&t->model, hd__span_of("<mask>"), 0, path, err);
}

hd_status hd__tokenizer_parse_sentencepiece(hd_tokenizer *t, hd_span bytes, const char *path, hd_error *err)
{
    static const hd_split_step metaspace = {.kind = HD_SPLIT_METASPACE, .mark = 0x2581};
    static const hd_added_request added[] = {
        {.content = {"<s>", 3}, .special = true},
        {.content = {"<pad>", 5}, .special = true},
        {.content = {"</s>", 4}, .special = true},
        {.content = {"<unk>", 5}, .special = true},
        {.content = {"<mask>", 6}, .special = true, .lstrip = true},
    };
    t->model.kind = HD_MODEL_UNIGRAM;
    t->normalizer = (hd_normalizer){.local = true};
    HD_TRY(read_model(t, bytes, path, err));
    HD_TRY(hd__unigram_build(&t->model.unigram, &t->model.vocab, UNK_ID, false, path, err));
    t->pretokenizer =
        (hd_pretokenizer){.steps = {{.kind = HD_SPLIT_SPACES, .behavior = HD_SPLIT_REMOVED}, metaspace}, .n_steps = 2};
    t->decoder = (hd_decoder){.steps = {{.kind = HD_DECODER_METASPACE, .metaspace = metaspace}}, .n_steps = 1};
    HD_TRY(hd__tokenizer_set_added(t, added, sizeof added / sizeof *added, path, err));
    hd__template_wrap(&t->template, BEGIN_ID, END_ID, true);
    return HD_OK;
}
