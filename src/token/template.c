/* template.c - see template.h. Formats: tokenizers/src/processors. */
#include "token/template.h"

#include "base/limits.h"

typedef struct parser {
    const char *file;
    hd_template *template;
    bool text_seen; /* ids go after the text from now on */
    hd_error *err;
} parser;

static hd_status add_id(parser *p, const json_t *id)
{
    json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
    if (value < 0 || value >= HD_LIMIT_VOCAB)
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"post_processor\": a special token's id is not an integer from 0 to %u",
                        p->file, HD_LIMIT_VOCAB - 1);
    hd_template *t = p->template;
    uint32_t *n = p->text_seen ? &t->n_after : &t->n_before;
    if (*n == HD_TEMPLATE_MAX_IDS)
        return hd__fail(p->err, HD_ERR_LIMIT, "%s: \"post_processor\" adds more than %u tokens on one side", p->file,
                        HD_TEMPLATE_MAX_IDS);
    (p->text_seen ? t->after : t->before)[(*n)++] = (int32_t)value;
    return HD_OK;
}

/* A piece {"SpecialToken": {"id": "[CLS]", "type_id": 0}}: its ids are looked up in special_tokens. */
static hd_status add_special(parser *p, const json_t *special_tokens, const char *name)
{
    const json_t *ids = json_object_get(json_object_get(special_tokens, name), "ids");
    if (!json_is_array(ids))
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"post_processor\": no \"ids\" for the special token \"%s\"", p->file,
                        name);
    for (size_t i = 0; i < json_array_size(ids); i++)
        HD_TRY(add_id(p, json_array_get(ids, i)));
    return HD_OK;
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

static hd_status parse_template(parser *p, const json_t *json)
{
    const json_t *single = json_object_get(json, "single"), *special_tokens = json_object_get(json, "special_tokens");
    if (!json_is_array(single))
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"post_processor\": \"single\" is not an array", p->file);
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *piece = json_array_get(single, i);
        const json_t *special = json_object_get(piece, "SpecialToken"), *sequence = json_object_get(piece, "Sequence");
        const json_t *body = special != NULL ? special : sequence;
        const char *id = json_string_value(json_object_get(body, "id"));
        if (id == NULL)
            return hd__fail(p->err, HD_ERR_FORMAT,
                            "%s: \"post_processor\": piece %zu of \"single\" is neither a SpecialToken nor a Sequence",
                            p->file, i);
        uint64_t type_id = 0;
        HD_TRY(hd__json_get_uint(body, "type_id", 0, UINT32_MAX, p->file, &type_id, p->err));
        if (type_id != 0)
            return hd__fail(p->err, HD_ERR_UNSUPPORTED, "%s: \"post_processor\": type_id %llu in \"single\" (only 0)",
                            p->file, (unsigned long long)type_id);
        HD_TRY(special != NULL ? add_special(p, special_tokens, id) : add_text(p, id));
    }
    if (!p->text_seen)
        return hd__fail(p->err, HD_ERR_UNSUPPORTED, "%s: \"post_processor\": \"single\" leaves out the text", p->file);
    return HD_OK;
}

/* "cls": ["[CLS]", 101], "sep": ["[SEP]", 102] */
static hd_status parse_cls_sep(parser *p, const json_t *json)
{
    HD_TRY(add_id(p, json_array_get(json_object_get(json, "cls"), 1)));
    p->text_seen = true;
    return add_id(p, json_array_get(json_object_get(json, "sep"), 1));
}

hd_status hd__template_parse(const json_t *json, const char *file, hd_template *template, hd_error *err)
{
    parser p = {file, template, false, err};
    *template = (hd_template){0};
    if (json == NULL || json_is_null(json))
        return HD_OK;
    const char *type = json_string_value(json_object_get(json, "type"));
    if (type == NULL)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"post_processor\" has no \"type\"", file);
    if (strcmp(type, "TemplateProcessing") == 0)
        return parse_template(&p, json);
    if (strcmp(type, "BertProcessing") == 0)
        return parse_cls_sep(&p, json);
    if (strcmp(type, "RobertaProcessing") == 0) {
        template->trims_spaces = template->has_prefix_space = true;
        HD_TRY(hd__json_get_bool(json, "trim_offsets", file, &template->trims_spaces, err));
        HD_TRY(hd__json_get_bool(json, "add_prefix_space", file, &template->has_prefix_space, err));
        return parse_cls_sep(&p, json);
    }
    return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"post_processor\" of type \"%s\" is not supported", file, type);
}
