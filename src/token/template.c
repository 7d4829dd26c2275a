/* template.c - see template.h. Formats: tokenizers/src/processors. */
#include "token/template.h"

#include "base/limits.h"

typedef struct parser {
    const char *file;
    hd_template *template;
    bool text_seen;  /* ids go after the text from now on */
    bool has_pieces; /* a processor that adds tokens has been read */
    hd_error *err;
} parser;

static hd_status read_id(const parser *p, const json_t *id, int32_t *out)
{
    json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    if (value < 0 || value >= HD_LIMIT_VOCAB)
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"post_processor\": a special token's id is not an integer from 0 to %u",
                        p->file, HD_LIMIT_VOCAB - 1);
    *out = (int32_t)value;
    return HD_OK;
}

static hd_status add_pair(parser *p, hd_pair_piece piece)
{
    hd_template *t = p->template;
    if (t->n_pair == HD_TEMPLATE_MAX_PAIR)
        return hd__fail(p->err, HD_ERR_LIMIT, "%s: \"post_processor\": \"pair\" has more than %u pieces", p->file,
                        HD_TEMPLATE_MAX_PAIR);
    t->pair[t->n_pair++] = piece;
    return HD_OK;
}

static hd_status add_id(parser *p, const json_t *id)
{
    int32_t value = 0;
    HD_TRY(read_id(p, id, &value));
    hd_template *t = p->template;
    uint32_t *n = p->text_seen ? &t->n_after : &t->n_before;
    if (*n == HD_TEMPLATE_MAX_IDS)
        return hd__fail(p->err, HD_ERR_LIMIT, "%s: \"post_processor\" adds more than %u tokens on one side", p->file,
                        HD_TEMPLATE_MAX_IDS);
    (p->text_seen ? t->after : t->before)[(*n)++] = value;
    return HD_OK;
}

/* A piece {"SpecialToken": {"id": "[CLS]", "type_id": 0}}: its ids are looked up in special_tokens. */
static hd_status find_special(const parser *p, const json_t *special_tokens, const char *name, const json_t **ids)
{
    *ids = json_object_get(json_object_get(special_tokens, name), "ids");
    if (!json_is_array(*ids))
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"post_processor\": no \"ids\" for the special token \"%s\"", p->file,
                        name);
    return HD_OK;
}

typedef struct piece {
    bool is_text;
    const char *name;
    int32_t type;
    const json_t *ids; /* of a special token */
} piece;

/* Piece i of "single" or "pair". */
static hd_status read_piece(const parser *p, const json_t *json, const char *list, size_t i, piece *out)
{
    const json_t *value = json_array_get(json_object_get(json, list), i);
    const json_t *special = json_object_get(value, "SpecialToken"), *sequence = json_object_get(value, "Sequence");
    const json_t *body = special != NULL ? special : sequence;
    uint64_t type_id = 0;
    *out = (piece){.is_text = special == NULL, .name = json_string_value(json_object_get(body, "id"))};
    if (out->name == NULL)
        return hd__fail(p->err, HD_ERR_FORMAT,
                        "%s: \"post_processor\": piece %zu of \"%s\" is neither a SpecialToken nor a Sequence", p->file, i,
                        list);
    HD_TRY(hd__json_get_uint(body, "type_id", 0, UINT32_MAX, p->file, &type_id, p->err));
    if (type_id > INT32_MAX)
        return hd__fail(p->err, HD_ERR_LIMIT, "%s: \"post_processor\": type_id %llu in \"%s\"", p->file,
                        (unsigned long long)type_id, list);
    out->type = (int32_t)type_id;
    return out->is_text ? HD_OK : find_special(p, json_object_get(json, "special_tokens"), out->name, &out->ids);
}

static hd_status add_text(parser *p, const char *name)
{
    if (strcmp(name, "A") != 0)
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"post_processor\": \"single\" has the sequence \"%s\"", p->file, name);
    if (p->text_seen)
        return hd__fail(p->err, HD_ERR_UNSUPPORTED, "%s: \"post_processor\": \"single\" has the text twice", p->file);
    p->text_seen = true;
    return HD_OK;
}

static hd_status parse_single(parser *p, const json_t *json)
{
    const json_t *single = json_object_get(json, "single");
    if (!json_is_array(single))
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"post_processor\": \"single\" is not an array", p->file);
    for (size_t i = 0; i < json_array_size(single); i++) {
        piece item;
        HD_TRY(read_piece(p, json, "single", i, &item));
        if (item.type != 0)
            return hd__fail(p->err, HD_ERR_UNSUPPORTED, "%s: \"post_processor\": type_id %d in \"single\" (only 0)", p->file,
                            item.type);
        if (item.is_text)
            HD_TRY(add_text(p, item.name));
        for (size_t k = 0; k < json_array_size(item.ids); k++)
            HD_TRY(add_id(p, json_array_get(item.ids, k)));
    }
    if (!p->text_seen)
        return hd__fail(p->err, HD_ERR_UNSUPPORTED, "%s: \"post_processor\": \"single\" leaves out the text", p->file);
    return HD_OK;
}

static hd_status parse_pair(parser *p, const json_t *json)
{
    const json_t *pair = json_object_get(json, "pair");
    uint32_t n_texts[2] = {0};
    p->template->n_pair = 0;
    if (pair == NULL || json_is_null(pair))
        return HD_OK;
    if (!json_is_array(pair))
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"post_processor\": \"pair\" is not an array", p->file);
    for (size_t i = 0; i < json_array_size(pair); i++) {
        piece item;
        HD_TRY(read_piece(p, json, "pair", i, &item));
        if (item.is_text) {
            bool second = strcmp(item.name, "B") == 0;
            if (!second && strcmp(item.name, "A") != 0)
                return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"post_processor\": \"pair\" has the sequence \"%s\"", p->file,
                                item.name);
            n_texts[second]++;
            HD_TRY(add_pair(p, (hd_pair_piece){second ? HD_PAIR_SECOND : HD_PAIR_FIRST, 0, item.type}));
        }
        for (size_t k = 0; k < json_array_size(item.ids); k++) {
            hd_pair_piece special = {HD_PAIR_SPECIAL, 0, item.type};
            HD_TRY(read_id(p, json_array_get(item.ids, k), &special.id));
            HD_TRY(add_pair(p, special));
        }
    }
    if (n_texts[0] != 1 || n_texts[1] != 1)
        return hd__fail(
            p->err, HD_ERR_UNSUPPORTED,
            "%s: \"post_processor\": \"pair\" has the first text %u times and the second %u times, not once each", p->file,
            n_texts[0], n_texts[1]);
    return HD_OK;
}

/* "cls": ["[CLS]", 101], "sep": ["[SEP]", 102] */
static hd_status parse_cls_sep(parser *p, const json_t *json, bool roberta)
{
    int32_t cls = 0, sep = 0;
    HD_TRY(read_id(p, json_array_get(json_object_get(json, "cls"), 1), &cls));
    HD_TRY(read_id(p, json_array_get(json_object_get(json, "sep"), 1), &sep));
    hd__template_wrap(p->template, cls, sep, roberta);
    return HD_OK;
}

static hd_status parse_trim(parser *p, const json_t *json)
{
    hd_template *t = p->template;
    t->trims_spaces = t->has_prefix_space = true;
    HD_TRY(hd__json_get_bool(json, "trim_offsets", p->file, &t->trims_spaces, p->err));
    return hd__json_get_bool(json, "add_prefix_space", p->file, &t->has_prefix_space, p->err);
}

static hd_status parse(parser *p, const json_t *json);

static hd_status parse_sequence(parser *p, const json_t *json)
{
    const json_t *processors = json_object_get(json, "processors");
    if (!json_is_array(processors))
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"post_processor\": Sequence needs an array \"processors\"", p->file);
    for (size_t i = 0; i < json_array_size(processors); i++)
        HD_TRY(parse(p, json_array_get(processors, i)));
    return HD_OK;
}

/* Sequences nest no deeper than the JSON reader lets them. */
static hd_status parse(parser *p, const json_t *json)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    if (type == NULL)
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"post_processor\" has no \"type\"", p->file);
    if (strcmp(type, "Sequence") == 0)
        return parse_sequence(p, json);
    if (strcmp(type, "ByteLevel") == 0)
        return parse_trim(p, json);
    bool is_template = strcmp(type, "TemplateProcessing") == 0, roberta = strcmp(type, "RobertaProcessing") == 0;
    if (!is_template && !roberta && strcmp(type, "BertProcessing") != 0)
        return hd__fail(p->err, HD_ERR_UNSUPPORTED, "%s: \"post_processor\" of type \"%s\" is not supported", p->file, type);
    if (p->has_pieces)
        return hd__fail(p->err, HD_ERR_UNSUPPORTED, "%s: \"post_processor\": a Sequence adds tokens twice", p->file);
    p->has_pieces = true;
    if (is_template) {
        HD_TRY(parse_single(p, json));
        return parse_pair(p, json);
    }
    if (roberta)
        HD_TRY(parse_trim(p, json));
    return parse_cls_sep(p, json, roberta);
}

static void wrap_piece(hd_template *t, hd_pair_kind kind, int32_t id, int32_t type)
{
    if (kind != HD_PAIR_SPECIAL || id >= 0)
        t->pair[t->n_pair++] = (hd_pair_piece){kind, id, type};
}

void hd__template_wrap(hd_template *t, int32_t before, int32_t after, bool roberta)
{
    t->before[0] = before;
    t->after[0] = after;
    t->n_before = before >= 0;
    t->n_after = after >= 0;
    t->n_pair = 0;
    wrap_piece(t, HD_PAIR_SPECIAL, before, 0);
    wrap_piece(t, HD_PAIR_FIRST, 0, 0);
    wrap_piece(t, HD_PAIR_SPECIAL, after, 0);
    if (roberta)
        wrap_piece(t, HD_PAIR_SPECIAL, after, 0);
    wrap_piece(t, HD_PAIR_SECOND, 0, roberta ? 0 : 1);
    wrap_piece(t, HD_PAIR_SPECIAL, after, roberta ? 0 : 1);
}

hd_status hd__template_parse(const json_t *json, const char *file, hd_template *template, hd_error *err)
{
    parser p = {.file = file, .template = template, .err = err};
    *template = (hd_template){.pair = {{HD_PAIR_FIRST, 0, 0}, {HD_PAIR_SECOND, 0, 1}}, .n_pair = 2};
    return json == NULL || json_is_null(json) ? HD_OK : parse(&p, json);
}
