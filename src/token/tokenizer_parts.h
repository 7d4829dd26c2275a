/* tokenizer_parts.h - what a tokenizer is made of; for the files of this folder only.
 *
 * A text goes through: added tokens found as given -> normaliser -> added tokens found normalised ->
 * pre-tokenizer -> model -> template. Two ways lead through it: bert_scan.c, unigram_scan.c and bpe_scan.c do it all in one
 * pass over the bytes for the settings that models of the families of BERT and XLM-RoBERTa and byte-level BPE have;
 * pipeline.c does it step by step for any settings and knows where each token came from. Both give the same ids. Another
 * model is another kind in token_model.h.
 */
#ifndef HD_TOKEN_TOKENIZER_PARTS_H
#define HD_TOKEN_TOKENIZER_PARTS_H

#include "token/added_tokens.h"
#include "token/decoder.h"
#include "token/normalizer.h"
#include "token/pretokenizer.h"
#include "token/template.h"
#include "token/token_model.h"
#include "token/token_tables.h"
#include "token/tokenizer.h"

/* What bert_scan.c knows about each byte. */
typedef enum hd_byte_class {
    HD_BYTE_LETTER, /* part of a word, as byte_to[] has it */
    HD_BYTE_SPACE,
    HD_BYTE_PUNCTUATION, /* a word of its own, byte_id[] its token */
    HD_BYTE_DROPPED,
    HD_BYTE_LONGER, /* first of several: see the code point's flags */
    HD_BYTE_ADDED,  /* an added token may begin here */
} hd_byte_class;

typedef struct hd_bert_scan {
    bool usable;              /* the settings are those this way is for */
    hd_norm_step bert;        /* clean_text, chinese_chars, strip_accents, lowercase */
    uint32_t interesting;     /* HD_UNICODE_* bits of code points that are not simply part of a word */
    uint8_t byte_class[256];  /* with HD_BYTE_ADDED */
    uint8_t plain_class[256]; /* without */
    char byte_to[128];
    int32_t byte_id[128];
} hd_bert_scan;

typedef struct hd_unigram_scan {
    bool usable;
    bool splits_spaces; /* WhitespaceSplit before Metaspace */
    bool strips_right, squeezes;
    bool prepends;
    const hd_charsmap *charsmap;
    char mark[4]; /* [mark_len] UTF-8 */
    size_t mark_len;
    uint32_t mark_code_point;
    uint8_t
        byte_class[256]; /* LETTER: ASCII that stays as it is, SPACE: that is or becomes a blank, ADDED, LONGER: all else */
} hd_unigram_scan;

typedef struct hd_bpe_scan {
    bool usable;           /* the settings are those this way is for */
    bool nfc;              /* else nothing is normalised */
    bool prefix_space;     /* text that does not begin with a space gets one, also after an added token */
    bool cuttable;         /* text may be cut before a space between two words */
    hd_word_rule rule;     /* for words */
    uint32_t byte_id[256]; /* token of each byte */
} hd_bpe_scan;

struct hd_tokenizer {
    hd_arena arena;            /* settings; freed with the tokenizer */
    hd_span settings, numbers; /* of token_tables.h; NULL: none */
    hd_normalizer normalizer;
    hd_pretokenizer pretokenizer;
    hd_token_model model;
    hd_template template;
    hd_decoder decoder;
    hd_added_token *added; /* [n_added], in two runs: raw, normalised */
    size_t n_added;
    hd_added_set added_raw, added_normalized;
    hd_bert_scan scan;
    hd_unigram_scan unigram_scan;
    hd_bpe_scan bpe_scan;
    uint32_t vocab_size; /* highest id + 1 */
    bool cuttable;       /* a text may be cut after white space and its parts tokenised alone */
};

/* Fill a tokenizer that is zeroed but for its arena and vocabulary; what they leave on failure is for the caller to clear.
 * `file` and the like are for messages. */
HD_MUST_USE hd_status hd__tokenizer_parse_json(hd_tokenizer *tokenizer, hd_span text, const char *file, hd_error *err);
HD_MUST_USE hd_status hd__tokenizer_parse_vocab_txt(hd_tokenizer *tokenizer, hd_span text, const char *path,
                                                    const json_t *config, const char *config_path, hd_error *err);

/* tokenizer_folder.c: vocab is a SentencePiece model, or a vocab.json when merges (a merges.txt) is there; the folder's
 * other files say the rest. dir NULL: there are none. */
HD_MUST_USE hd_status hd__tokenizer_parse_folder(hd_tokenizer *tokenizer, const char *dir, const char *vocab_path,
                                                 hd_span vocab, hd_span merges, hd_error *err);

/* Merges of a BPE model: of tokenizer.json, or of a merges.txt; text.ptr NULL: none. */
typedef struct hd_merges {
    hd_span text;
    bool is_lines;
} hd_merges;

/* All of a tokenizer but its vocabulary and scores, which are there, from tokenizer.json's settings without them. */
HD_MUST_USE hd_status hd__tokenizer_parse_settings(hd_tokenizer *tokenizer, const json_t *root, hd_merges merges,
                                                   const char *file, hd_error *err);

/* What a class of tokenizers makes of a SentencePiece model's pieces: `first` in front, in place of the first n_replaced,
 * behind them "<extra_id_N>" from the last to 0, and "<mask>". */
typedef struct hd_piece_order {
    const char *first[6];
    uint32_t n_replaced, n_extra_ids;
    bool has_mask;
    int unk_id;
} hd_piece_order;

/* sentencepiece.c: reads pieces and scores into a Unigram model that is not built yet. charsmap points into bytes; control
 * and user-defined pieces are appended to an array of texts. */
HD_MUST_USE hd_status hd__sentencepiece_read(hd_span bytes, const char *path, const hd_piece_order *order,
                                             hd_token_model *model, hd_span *charsmap, json_t *controls, hd_error *err);

/* hd__tokenizer_open for what is in memory: a tokenizer.json, a sentencepiece.bpe.model alone, or a vocab.txt with its
 * config (may be NULL). */
HD_MUST_USE hd_status hd__tokenizer_open_sentencepiece(hd_span bytes, const char *path, hd_tokenizer **tokenizer,
                                                       hd_error *err);
HD_MUST_USE hd_status hd__tokenizer_open_json(hd_span text, const char *file, hd_tokenizer **tokenizer, hd_error *err);
HD_MUST_USE hd_status hd__tokenizer_open_vocab_txt(hd_span text, const char *path, const json_t *config,
                                                   const char *config_path, hd_tokenizer **tokenizer, hd_error *err);

/* The same over the tables of one that was open before, which must outlive it unless hd__tokenizer_keep hands them over:
 * also HD_ERR_FORMAT when they are not those of a tokenizer. */
HD_MUST_USE hd_status hd__tokenizer_open_tables(const hd_span tables[HD_TABLE_COUNT], const char *file,
                                                hd_tokenizer **tokenizer, hd_error *err);

/* token_tables.c. note: keeps what the tables of a tokenizer that is made will need. view: a model over tables; false when
 * they are not those of one. */
HD_MUST_USE hd_status hd__token_tables_note(hd_tokenizer *tokenizer, hd_span settings, hd_error *err);
bool hd__token_tables_view(hd_token_model *model, const hd_span tables[HD_TABLE_COUNT]);

/* An added token as a settings file has it. */
typedef struct hd_added_request {
    hd_span content;
    bool single_word, lstrip, rstrip, normalized, special;
} hd_added_request;

/* Gives the tokens their ids, those of the vocabulary or new ones after it, and makes them searchable. */
HD_MUST_USE hd_status hd__tokenizer_set_added(hd_tokenizer *tokenizer, const hd_added_request *requests, size_t n,
                                              const char *file, hd_error *err);

/* "model.vocab" of a tokenizer.json is most of the file, so it is read straight into the vocabulary and the
 * JSON reader sees {} in its place. find: where its { or [ is. read: from there, *len bytes up to its end. */
bool hd__vocab_json_find(hd_span json, size_t *begin);
HD_MUST_USE hd_status hd__vocab_json_read(hd_span json, const char *file, hd_vocab *vocab, size_t *len, hd_error *err);
HD_MUST_USE hd_status hd__vocab_json_read_scored(hd_span json, const char *file, hd_vocab *vocab, hd_unigram *model,
                                                 size_t *len, hd_error *err);

/* merges_json.c: "model.merges" the same way. find: the whole array. read: into a model that hd__bpe_begin has made ready.
 */
bool hd__merges_json_find(hd_span json, hd_span *merges);
HD_MUST_USE hd_status hd__merges_json_read(hd_span json, const char *file, hd_bpe *bpe, hd_error *err);

/* The lines of a merges.txt. */
HD_MUST_USE hd_status hd__merges_txt_read(hd_span text, const char *file, hd_bpe *bpe, hd_error *err);

/* bert_scan.c: prepares tokenizer->scan; encodes with it up to `limit` ids and one more if there is one.
 * Appends to ids. */
void hd__bert_scan_init(hd_tokenizer *tokenizer);
HD_MUST_USE hd_status hd__bert_scan_run(const hd_tokenizer *tokenizer, hd_span text, size_t limit, hd_ids *ids,
                                        hd_error *err);

/* bpe_scan.c: the same for byte-level BPE. */
void hd__bpe_scan_init(hd_tokenizer *tokenizer);
HD_MUST_USE hd_status hd__bpe_scan_run(const hd_tokenizer *tokenizer, hd_span text, size_t limit, hd_ids *ids,
                                       hd_error *err);

/* What one text and the template around it (or pair of texts) come down to. check: whether the text may be tokenised, and
 * how many ids of it there may be beside n_specials. encode: appends up to limit + 1 ids of it, no template. */
HD_MUST_USE hd_status hd__tokenizer_check_text(hd_span text, const hd_tokenize_options *options, uint32_t n_specials,
                                               size_t *limit, hd_error *err);
HD_MUST_USE hd_status hd__tokenizer_encode_text(const hd_tokenizer *tokenizer, hd_span text, size_t limit, bool lower_case,
                                                hd_ids *ids, hd_error *err);

/* unigram_scan.c: the same for the XLM-RoBERTa family. HD_ERR_FORMAT as hd__token_model_encode. */
void hd__unigram_scan_init(hd_tokenizer *tokenizer);
HD_MUST_USE hd_status hd__unigram_scan_run(const hd_tokenizer *tokenizer, hd_span text, size_t limit, hd_ids *ids,
                                           hd_error *err);

/* Where a text may be cut: after one of these, if the tokenizer is cuttable. */
static inline bool hd__is_ascii_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* pipeline.c: the same step by step, with byte offsets. */
typedef struct hd_token_list {
    hd_token *tokens; /* [n] char_begin, char_end and special not set */
    size_t n, capacity;
} hd_token_list;
HD_MUST_USE hd_status hd__pipeline_run(const hd_tokenizer *tokenizer, hd_span text, size_t limit, bool lower_case,
                                       hd_token_list *out, hd_error *err);

#endif
