/* template.h - what a model wants around a text, or around two: TemplateProcessing, BertProcessing, RobertaProcessing,
 * ByteLevel and Sequences of them come down to ids before and after one text, and to a list of pieces for a pair. */
#ifndef HD_TOKEN_TEMPLATE_H
#define HD_TOKEN_TEMPLATE_H

#include "base/json.h"

#define HD_TEMPLATE_MAX_IDS 32 /* before, and after, the text */

#define HD_TEMPLATE_MAX_PAIR 64 /* pieces of a pair, the two texts among them */

typedef enum hd_pair_kind { HD_PAIR_SPECIAL, HD_PAIR_FIRST, HD_PAIR_SECOND } hd_pair_kind;

typedef struct hd_pair_piece {
    hd_pair_kind kind;
    int32_t id;   /* of a special token */
    int32_t type; /* of its tokens */
} hd_pair_piece;

typedef struct hd_template {
    int32_t before[HD_TEMPLATE_MAX_IDS], after[HD_TEMPLATE_MAX_IDS];
    uint32_t n_before, n_after;
    hd_pair_piece pair[HD_TEMPLATE_MAX_PAIR]; /* both texts are in it, once each; or it is empty */
    uint32_t n_pair;                          /* 0: there is no place for a second text */
    bool trims_spaces;     /* RobertaProcessing's trim_offsets: places leave out white space at a token's ends */
    bool has_prefix_space; /* its add_prefix_space */
} hd_template;

/* One token before and one after the text (-1: none), as BERT has them, or RoBERTa: two between the texts of a pair, and
 * one token type only. The rest of the template stays as it is. */
void hd__template_wrap(hd_template *template, int32_t before, int32_t after, bool roberta);

/* Reads "post_processor" of tokenizer.json (may be NULL or null: nothing is added). HD_ERR_FORMAT,
 * HD_ERR_UNSUPPORTED by the type's name. */
HD_MUST_USE hd_status hd__template_parse(const json_t *json, const char *file, hd_template *template, hd_error *err);

#endif
