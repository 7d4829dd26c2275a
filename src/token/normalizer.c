/* normalizer.c - see normalizer.h. Reading the settings; the steps themselves are in normalize_text.c. */
#include "token/normalizer.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "token/charsmap.h"

static hd_status add_step(hd_arena *arena, hd_normalizer *normalizer, hd_norm_step step, hd_error *err)
{
    if (normalizer->n_steps == normalizer->capacity) {
        size_t capacity = normalizer->capacity * 2 + 4;
        hd_norm_step *steps = hd__arena_calloc(arena, capacity, sizeof *steps);
        if (steps == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a normaliser of %zu steps", capacity);
        if (normalizer->n_steps > 0)
            memcpy(steps, normalizer->steps, normalizer->n_steps * sizeof *steps);
        normalizer->steps = steps;
        normalizer->capacity = capacity;
    }
    normalizer->steps[normalizer->n_steps++] = step;
    return HD_OK;
}

static hd_status decode(hd_arena *arena, const json_t *json, const uint32_t **out, size_t *n, hd_error *err)
{
    hd_span text = hd__span(json_string_value(json), json_string_length(json));
    uint32_t *code_points = hd__arena_calloc(arena, text.len + 1, sizeof *code_points);
    if (code_points == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a normaliser's text of %zu bytes", text.len);
    *n = 0;
    bool valid;
    for (size_t at = 0, len; at < text.len; at += len)
        code_points[(*n)++] = hd__utf8_decode(text, at, &len, &valid);
    *out = code_points;
    return HD_OK;
}

static hd_status parse_bert(const json_t *json, const char *file, hd_norm_step *step, hd_error *err)
{
    step->clean_text = step->chinese_chars = step->lowercase = true;
    HD_TRY(hd__json_get_bool(json, "clean_text", file, &step->clean_text, err));
    HD_TRY(hd__json_get_bool(json, "handle_chinese_chars", file, &step->chinese_chars, err));
    HD_TRY(hd__json_get_bool(json, "lowercase", file, &step->lowercase, err));
    step->strip_accents = step->lowercase; /* null or missing: as lowercase */
    return hd__json_get_bool(json, "strip_accents", file, &step->strip_accents, err);
}

static hd_status parse_strip(const json_t *json, const char *file, hd_norm_step *step, hd_error *err)
{
    step->left = step->right = true;
    HD_TRY(hd__json_get_bool(json, "strip_left", file, &step->left, err));
    return hd__json_get_bool(json, "strip_right", file, &step->right, err);
}

static hd_status parse_replace(const json_t *json, const char *file, hd_arena *arena, hd_norm_step *step, hd_error *err)
{
    const json_t *pattern = json_object_get(json, "pattern"), *content = json_object_get(json, "content");
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    step->is_run = regex != NULL && strcmp(regex, " {2,}") == 0; /* what tokenizers made from SentencePiece models have */
    const json_t *literal = json_object_get(pattern, "String");
    if (regex != NULL && json_is_string(content)) {
        static const uint32_t space = ' ';
        if (!step->is_run)
            HD_TRY(hd__pattern_parse(pattern, file, "normalizer", arena, &step->regex, err));
        step->pattern = &space;
        step->n_pattern = 1;
        return decode(arena, content, &step->content, &step->n_content, err);
    }
    if (!json_is_string(literal) || json_string_length(literal) == 0 || !json_is_string(content))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"normalizer\": Replace needs a non-empty \"pattern\" and a \"content\"",
                        file);
    HD_TRY(decode(arena, literal, &step->pattern, &step->n_pattern, err));
    return decode(arena, content, &step->content, &step->n_content, err);
}

static hd_status parse_prepend(const json_t *json, const char *file, hd_arena *arena, hd_norm_step *step, hd_error *err)
{
    const json_t *content = json_object_get(json, "prepend");
    if (!json_is_string(content))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"normalizer\": Prepend needs a \"prepend\"", file);
    return decode(arena, content, &step->content, &step->n_content, err);
}

static hd_status parse_precompiled(const json_t *json, const char *file, hd_arena *arena, hd_norm_step *step, hd_error *err)
{
    const json_t *base64 = json_object_get(json, "precompiled_charsmap");
    hd_charsmap *map = hd__arena_calloc(arena, 1, sizeof *map);
    if (!json_is_string(base64))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"normalizer\": Precompiled needs a \"precompiled_charsmap\"", file);
    if (map == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a normaliser", file);
    step->charsmap = map;
    return hd__charsmap_read_base64(hd__span(json_string_value(base64), json_string_length(base64)), file, arena, map, err);
}

static const struct {
    const char *type;
    hd_norm_kind kind;
} kinds[] = {
    {"BertNormalizer", HD_NORM_BERT},
    {"Lowercase", HD_NORM_LOWERCASE},
    {"NFC", HD_NORM_NFC},
    {"NFD", HD_NORM_NFD},
    {"NFKC", HD_NORM_NFKC},
    {"NFKD", HD_NORM_NFKD},
    {"StripAccents", HD_NORM_STRIP_ACCENTS},
    {"Strip", HD_NORM_STRIP},
    {"Replace", HD_NORM_REPLACE},
    {"Prepend", HD_NORM_PREPEND},
    {"Nmt", HD_NORM_NMT},
    {"Precompiled", HD_NORM_PRECOMPILED},
};

static hd_status parse_step(const json_t *json, const char *type, const char *file, hd_arena *arena,
                            hd_normalizer *normalizer, hd_error *err)
{
    size_t i = 0;
    while (i < sizeof kinds / sizeof *kinds && strcmp(kinds[i].type, type) != 0)
        i++;
    if (i == sizeof kinds / sizeof *kinds)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"normalizer\" of type \"%s\" is not supported", file, type);
    hd_norm_step step = {.kind = kinds[i].kind};
    if (step.kind == HD_NORM_BERT)
        HD_TRY(parse_bert(json, file, &step, err));
    else if (step.kind == HD_NORM_STRIP)
        HD_TRY(parse_strip(json, file, &step, err));
    else if (step.kind == HD_NORM_REPLACE)
        HD_TRY(parse_replace(json, file, arena, &step, err));
    else if (step.kind == HD_NORM_PREPEND)
        HD_TRY(parse_prepend(json, file, arena, &step, err));
    else if (step.kind == HD_NORM_PRECOMPILED)
        HD_TRY(parse_precompiled(json, file, arena, &step, err));
    if (step.kind == HD_NORM_STRIP || step.kind == HD_NORM_REPLACE || step.kind == HD_NORM_PREPEND ||
        step.kind == HD_NORM_PRECOMPILED)
        normalizer->local = false;
    return add_step(arena, normalizer, step, err);
}

/* Sequences nest no deeper than the JSON reader lets them. */
static hd_status parse(const json_t *json, const char *file, hd_arena *arena, hd_normalizer *normalizer, hd_error *err)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    if (type == NULL)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"normalizer\" has no \"type\"", file);
    if (strcmp(type, "Sequence") != 0)
        return parse_step(json, type, file, arena, normalizer, err);
    const json_t *steps = json_object_get(json, "normalizers");
    if (!json_is_array(steps))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"normalizer\": Sequence needs an array \"normalizers\"", file);
    for (size_t i = 0; i < json_array_size(steps); i++)
        HD_TRY(parse(json_array_get(steps, i), file, arena, normalizer, err));
    return HD_OK;
}

hd_status hd__normalizer_parse(const json_t *json, const char *file, hd_arena *arena, hd_normalizer *normalizer,
                               hd_error *err)
{
    *normalizer = (hd_normalizer){.local = true};
    return json == NULL || json_is_null(json) ? HD_OK : parse(json, file, arena, normalizer, err);
}
