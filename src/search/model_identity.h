/* model_identity.h - what tells a model from others in an index.
 */
#ifndef HD_SEARCH_MODEL_IDENTITY_H
#define HD_SEARCH_MODEL_IDENTITY_H

#include "base/arena.h"
#include "search/model_prompts.h"

/* "owner/name", however it was opened, or the path of a folder that is in no store of models: what opens it again. On the
 * arena. */
HD_MUST_USE hd_status hd__model_identity_name(const hd_model_info *info, hd_arena *arena, const char **name, hd_error *err);

/* 32 digits: equal for the same weights, settings and prompts, whatever type they are computed in; reads a few hundred
 * kilobytes of the model's files. On the arena. */
HD_MUST_USE hd_status hd__model_identity_fingerprint(const hd_model_info *info, const hd_model_prompts *prompts,
                                                     hd_arena *arena, const char **fingerprint, hd_error *err);

#endif
