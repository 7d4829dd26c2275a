/* models.h - the models this server serves, by name. Thread-safe: has its own lock.
 *
 * With one model any name in a request means that one; with several, or when asked to be strict, an unknown name is a
 * fault. Names, and what models were registered by, compare exactly; names then without case, then by the part after the
 * last "/", and a ":tag" or "@revision" that the registered name lacks is not looked at ("all-minilm:latest").
 */
#ifndef HD_WIRE_MODELS_H
#define HD_WIRE_MODELS_H

#include <stdatomic.h>

#include "wire/call.h"

typedef struct hd_models hd_models;

HD_MUST_USE hd_status hd__models_open(hd_engine *engine, bool strict, hd_models **models, hd_error *err);
void hd__models_close(hd_models *models); /* closes the engine's models; NULL allowed */

/* Gets a model of this name into the store. Called on threads that may wait, by one table once at a time; gives up when
 * *stop is set. */
typedef hd_status hd_model_pull(const char *name, const atomic_bool *stop, void *data, hd_error *err);

/* Models added from now on need not be on this machine: the first request for one starts getting it, and is told to
 * come back (HD_FAULT_LOADING). Only what was added is ever pulled, whatever requests ask for. */
void hd__models_allow_pull(hd_models *models, hd_model_pull *pull, void *data);

/* Loads all of them, in their order, pulling first what is to be pulled. What cannot be loaded is logged and left for
 * the first request. Returns when that is done, or stopped. */
void hd__models_preload(hd_models *models);

/* Nothing more is pulled or preloaded, and what is under way ends soon. */
void hd__models_stop(hd_models *models);

/* Registers a model under a name. NULL: the hub's id as it is, of a path the last part (in the hub client's cache the id),
 * or the whole path when another model is called so. The first is the default. */
HD_MUST_USE hd_status hd__models_add(hd_models *models, const char *name_or_dir, const char *name,
                                     const hd_model_options *options, hd_error *err);

typedef struct hd_model_entry hd_model_entry;

/* The model a request means; name NULL or empty: the default. HD_ERR_NOT_FOUND, with HD_FAULT_MODEL; for one that is
 * being pulled HD_ERR_BUSY, with HD_FAULT_LOADING; for one that could not be, its error, with HD_FAULT_LOAD. */
HD_MUST_USE hd_status hd__models_find(hd_models *models, const char *name, hd_model_entry **entry, hd_fault *fault);

/* The same, but a model that is not here is pulled first, unless that has failed a moment ago. */
HD_MUST_USE hd_status hd__models_await(hd_models *models, const char *name, hd_model_entry **entry, hd_fault *fault);

/* Whether a model is called so, also where any name means the one that there is. Nothing is pulled. */
bool hd__models_has(hd_models *models, const char *name);

hd_model *hd__models_handle(const hd_model_entry *entry);

/* What is known now. */
void hd__models_card(const hd_model_entry *entry, hd_model_card *card);

/* Cards of all on the arena. */
HD_MUST_USE hd_status hd__models_list(hd_models *models, hd_arena *arena, const hd_model_card **cards, size_t *n,
                                      hd_error *err);

#endif
