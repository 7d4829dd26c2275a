/* late_config.c - see late_config.h.
 *
 * PyLate's config_sentence_transformers.json:
 *
 *   {"query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 32, "document_length": 180,
 *    "do_query_expansion": true, "attend_to_expansion_tokens": false, "skiplist_words": ["!", …]}
 *
 * A missing field or null has the value here; skiplist_words that of Python's string.punctuation. Source:
 * pylate.models.ColBERT of PyLate 1.4 (https://github.com/lightonai/pylate). The token that fills queries up is the
 * tokenizer's mask token.
 *
 * In sentence-transformers' own layout the transformer's sentence_bert_config.json and MultiVectorMask's config.json:
 *
 *   {"query_length": null, "document_length": 300, "query_expansion": {"strategy": "fixed", "attend": false, "token": null,
 *    "length": 32}}
 *   {"skiplist_words": ["!", …], "skiplist_tasks": ["document"], "keep_only_token_ids": null}
 *
 * where what is missing is not there; strategy "min" fills queries up without cutting those that are longer. Prefixes are
 * the model's prompts. Source: sentence_transformers.base.modules.Transformer, MultiVectorMask 6.2.
 *
 * ColBERT's artifact.metadata, beside a config.json of architecture HF_ColBERT:
 *
 *   {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_maxlen": 32, "doc_maxlen": 220, "dim": 128,
 *    "attend_to_mask_tokens": false, "mask_punctuation": true, "similarity": "cosine"}
 *
 * with the values here where they are missing; the linear layer is "linear.weight" among the transformer's own tensors.
 * Source: https://github.com/stanford-futuredata/ColBERT (infra/config/settings.py, modeling/).
 */
#include "model/late_config.h"

#include <stdio.h>

static hd_status keep_text(const hd_settings_reader *reader, const json_t *root, const char *key, const char *shown,
                           const char **value)
{
    const char *text = *value;
    HD_TRY(hd__json_get_text(root, key, shown, &text, reader->err));
    return hd__settings_keep(reader, text, value);
}

static hd_status get_length(const hd_settings_reader *reader, const json_t *root, const char *key, const char *shown,
                            uint32_t *value)
{
    uint64_t wide = *value;
    HD_TRY(hd__json_get_uint(root, key, 4, HD_LIMIT_SEQUENCE, shown, &wide, reader->err));
    *value = (uint32_t)wide;
    return HD_OK;
}

/* "skiplist_words", or all that is punctuation in ASCII. */
static hd_status parse_skipped(const hd_settings_reader *reader, const json_t *root, const char *shown,
                               hd_late_settings *late)
{
    static const char punctuation[] = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
    const json_t *words = json_object_get(root, "skiplist_words");
    const bool given = words != NULL && !json_is_null(words);
    const size_t n = given ? json_array_size(words) : sizeof punctuation - 1;
    if (given && !json_is_array(words))
        return hd__fail(reader->err, HD_ERR_FORMAT, "%s: \"skiplist_words\" is not a list", shown);
    if (n > HD_LIMIT_SKIPLIST)
        return hd__fail(reader->err, HD_ERR_LIMIT, "%s: \"skiplist_words\" has %zu words, the limit is %u", shown, n,
                        HD_LIMIT_SKIPLIST);
    const char **skipped = hd__arena_calloc(reader->arena, n + 1, sizeof *skipped);
    if (skipped == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for %zu words", shown, n);
    for (size_t i = 0; i < n; i++) {
        const char single[] = {given ? '\0' : punctuation[i], '\0'};
        const char *word = given ? json_string_value(json_array_get(words, i)) : single;
        if (word == NULL)
            return hd__fail(reader->err, HD_ERR_FORMAT, "%s: \"skiplist_words\": word %zu is no text", shown, i);
        HD_TRY(hd__settings_keep(reader, word, &skipped[i]));
    }
    late->skipped = skipped;
    late->n_skipped = (uint32_t)n;
    return HD_OK;
}

/* "mask_token" of the tokenizer's settings: a text, or an object with its "content"; unless another was named. */
static hd_status find_expansion(const hd_settings_reader *reader, const char *path, hd_late_settings *late)
{
    static const char *const files[] = {"tokenizer_config.json", "special_tokens_map.json"};
    if (late->expansion != NULL)
        return HD_OK;
    late->expansion = "[MASK]";
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        json_t *root;
        const char *shown;
        HD_TRY(hd__settings_file(reader, path, files[i], false, &root, &shown));
        const json_t *token = json_object_get(root, "mask_token");
        const char *text = json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
        hd_status status = text != NULL ? hd__settings_keep(reader, text, &late->expansion) : HD_OK;
        json_decref(root);
        if (text != NULL)
            return status;
    }
    return HD_OK;
}

/* What both kinds of files leave to the tokenizer and to the transformer. */
static hd_status finish(const hd_settings_reader *reader, const char *path, const hd_late_settings *parsed,
                        hd_settings *settings)
{
    hd_late_settings *late = hd__arena_calloc(reader->arena, 1, sizeof *late);
    const uint32_t most = settings->n_positions != 0 ? settings->n_positions : HD_LIMIT_SEQUENCE;
    if (late == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for its settings", reader->dir);
    *late = *parsed;
    HD_TRY(find_expansion(reader, path, late));
    late->query_length = late->query_length < most ? late->query_length : most;
    late->document_length = late->document_length < most ? late->document_length : most;
    late->expanded_length = late->expanded_length < most ? late->expanded_length : most;
    settings->max_length = late->query_length > late->document_length ? late->query_length : late->document_length;
    settings->late = late;
    return HD_OK;
}

hd_status hd__late_config(const hd_settings_reader *reader, const json_t *root, const char *shown, const char *path,
                          hd_settings *settings)
{
    hd_late_settings late = {.query_prefix = "[Q] ",
                             .document_prefix = "[D] ",
                             .query_length = 32,
                             .document_length = 180,
                             .skips_unknown = true};
    bool expands = true;
    HD_TRY(keep_text(reader, root, "query_prefix", shown, &late.query_prefix));
    HD_TRY(keep_text(reader, root, "document_prefix", shown, &late.document_prefix));
    HD_TRY(get_length(reader, root, "query_length", shown, &late.query_length));
    HD_TRY(get_length(reader, root, "document_length", shown, &late.document_length));
    HD_TRY(hd__json_get_bool(root, "do_query_expansion", shown, &expands, reader->err));
    HD_TRY(hd__json_get_bool(root, "attend_to_expansion_tokens", shown, &late.attends, reader->err));
    HD_TRY(parse_skipped(reader, root, shown, &late));
    late.expanded_length = expands ? late.query_length : 0;
    return finish(reader, path, &late, settings);
}

static hd_status parse_expansion(const hd_settings_reader *reader, const json_t *root, const char *shown,
                                 hd_late_settings *late)
{
    const json_t *object = json_object_get(root, "query_expansion");
    const char *strategy = "", *token = NULL;
    if (object == NULL || json_is_null(object))
        return HD_OK;
    HD_TRY(hd__json_get_text(object, "strategy", shown, &strategy, reader->err));
    HD_TRY(hd__json_get_text(object, "token", shown, &token, reader->err));
    HD_TRY(hd__json_get_bool(object, "attend", shown, &late->attends, reader->err));
    HD_TRY(get_length(reader, object, "length", shown, &late->expanded_length));
    const bool is_fixed = strcmp(strategy, "fixed") == 0;
    if ((!is_fixed && strcmp(strategy, "min") != 0) || late->expanded_length == 0)
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                        "%s: \"query_expansion\" of strategy \"%s\" and length %u; Heddle runs \"fixed\" and \"min\"", shown,
                        strategy, late->expanded_length);
    if (is_fixed)
        late->query_length = late->expanded_length;
    return token != NULL ? hd__settings_keep(reader, token, &late->expansion) : HD_OK;
}

static hd_status parse_mask(const hd_settings_reader *reader, const json_t *root, const char *shown, hd_late_settings *late)
{
    const json_t *tasks = json_object_get(root, "skiplist_tasks"), *kept = json_object_get(root, "keep_only_token_ids");
    const char *task = json_string_value(json_array_get(tasks, 0));
    if (json_array_size(tasks) > 1 || (task != NULL && strcmp(task, "document") != 0) || json_array_size(kept) > 0)
        return hd__fail(
            reader->err, HD_ERR_UNSUPPORTED,
            "%s: \"skiplist_tasks\" other than \"document\", or \"keep_only_token_ids\", which Heddle does not run", shown);
    const json_t *words = json_object_get(root, "skiplist_words");
    return words != NULL && !json_is_null(words) ? parse_skipped(reader, root, shown, late) : HD_OK;
}

hd_status hd__late_mask(const hd_settings_reader *reader, const char *path, const char *mask_path, hd_settings *settings)
{
    json_t *root, *mask = NULL;
    const char *shown;
    hd_late_settings late = {.query_prefix = "",
                             .document_prefix = "",
                             .query_length = settings->max_length,
                             .document_length = settings->max_length,
                             .has_prompts = true};
    HD_TRY(hd__settings_file(reader, path, "sentence_bert_config.json", false, &root, &shown));
    hd_status status = HD_OK;
    HD_TRY_OUT(get_length(reader, root, "query_length", shown, &late.query_length));
    HD_TRY_OUT(get_length(reader, root, "document_length", shown, &late.document_length));
    HD_TRY_OUT(parse_expansion(reader, root, shown, &late));
    HD_TRY_OUT(hd__settings_file(reader, mask_path, "config.json", true, &mask, &shown));
    HD_TRY_OUT(parse_mask(reader, mask, shown, &late));
    HD_TRY_OUT(finish(reader, path, &late, settings));
out:
    json_decref(root);
    json_decref(mask);
    return status;
}

static hd_status parse_metadata(const hd_settings_reader *reader, const json_t *root, const char *shown,
                                hd_settings *settings)
{
    hd_late_settings late = {.query_prefix = "[unused0]",
                             .document_prefix = "[unused1]",
                             .query_length = 32,
                             .document_length = 220,
                             .skips_unknown = true};
    uint64_t dim = 128;
    bool masks_punctuation = true;
    const char *similarity = "cosine";
    HD_TRY(keep_text(reader, root, "query_token_id", shown, &late.query_prefix));
    HD_TRY(keep_text(reader, root, "doc_token_id", shown, &late.document_prefix));
    HD_TRY(get_length(reader, root, "query_maxlen", shown, &late.query_length));
    HD_TRY(get_length(reader, root, "doc_maxlen", shown, &late.document_length));
    HD_TRY(hd__json_get_bool(root, "attend_to_mask_tokens", shown, &late.attends, reader->err));
    HD_TRY(hd__json_get_bool(root, "mask_punctuation", shown, &masks_punctuation, reader->err));
    HD_TRY(hd__json_get_uint(root, "dim", 1, HD_LIMIT_HIDDEN, shown, &dim, reader->err));
    HD_TRY(hd__json_get_text(root, "similarity", shown, &similarity, reader->err));
    if (strcmp(similarity, "cosine") != 0)
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED, "%s: \"similarity\" is \"%s\", Heddle runs \"cosine\"", shown,
                        similarity);
    if (masks_punctuation)
        HD_TRY(parse_skipped(reader, NULL, shown, &late));
    late.expanded_length = late.query_length;
    settings->heads = HD_HEAD_MULTI;
    settings->n_token_out = (uint32_t)dim;
    settings->dense[settings->n_dense++] = (hd_dense_settings){
        .dir = settings->dir, .n_in = settings->hidden, .n_out = (uint32_t)dim, .activation = HD_ACTIVATION_IDENTITY};
    return finish(reader, "", &late, settings);
}

hd_status hd__late_metadata(const hd_settings_reader *reader, hd_settings *settings)
{
    json_t *root;
    const char *shown;
    HD_TRY(hd__settings_file(reader, "", "artifact.metadata", false, &root, &shown));
    const hd_status status = parse_metadata(reader, root, shown, settings);
    json_decref(root);
    return status;
}
