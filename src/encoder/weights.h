/* weights.h - from a model's tensors to packed weights, and from the packed cache straight to them.
 *
 * An encoder names every blob it needs and how to fill it; this decides where it comes from. Packing: blobs
 * are filled on the heap from the tensors, then written to the cache file. Mapped: blobs are views of
 * the cache file, and the fill code does not run. The encoder cannot tell the difference.
 */
#ifndef HD_ENCODER_WEIGHTS_H
#define HD_ENCODER_WEIGHTS_H

#include "base/arena.h"
#include "device/device.h"
#include "model/packed.h"
#include "model/settings.h"
#include "model/tensors.h"

/* Raised when panels, quantisation or blob names change: packed files of another are made anew, and vectors of another are
 * not taken from a shared cache. */
#define HD_WEIGHTS_LAYOUT 6

typedef struct hd_weights hd_weights;

/* Opens the weights of a model folder for one type of matrix products. cache_path (absolute) NULL: no cache. When the cache
 * file exists with the right key it is mapped, unless `repack`; otherwise the tensors are opened for packing. */
HD_MUST_USE hd_status hd__weights_open(const char *model_dir, const hd_settings *settings, k_type type,
                                       const char *cache_path, bool repack, uint32_t n_threads, hd_weights **weights,
                                       hd_error *err);
void hd__weights_close(hd_weights *weights); /* NULL allowed */

/* For weights that are not mapped: between begin and end, binding only adds up what the blobs would take; nothing is read,
 * and they are NULL. */
void hd__weights_measure_begin(hd_weights *weights);
uint64_t hd__weights_measure_end(hd_weights *weights);

/* After that: refuses adapters with something for modules that were not bound, which would be left out silently. */
HD_MUST_USE hd_status hd__weights_check_adapters(const hd_weights *weights, hd_error *err);

/* Bytes of all blobs; whether they come from the cache file. */
uint64_t hd__weights_bytes(const hd_weights *weights);
bool hd__weights_mapped(const hd_weights *weights);

/* A text that differs when the model's files or what is made of them do. Lives as long as the weights. */
const char *hd__weights_key(const hd_weights *weights);

/* Whether blobs were packed into a cache file that is not in its place yet, as they are after a measuring pass when the
 * file could be made. save then moves it there, and says whether it is: a failure is logged and is no error. Either way the
 * blobs are gone, and the weights are to be opened again. */
bool hd__weights_writing(const hd_weights *weights);
bool hd__weights_save(hd_weights *weights);

/* ---- what encoders bind ---- */

/* A tensor "<layer>.weight" may also be called "<layer>.parametrizations.weight.original", as torch calls a weight that
 * has a parametrization. */

/* One piece of a linear layer: n rows of tensor "<prefix>.weight" [n, k] and of "<prefix>.bias" [n]. Several pieces are
 * stacked, each padded to a multiple of 64 channels (Q, K and V as one product). */
typedef struct hd_linear_part {
    const char *prefix;
    int n;
    bool no_bias;
    int first, n_all; /* n_all > n: rows [first, first + n) of tensors of n_all */
    const char *bias; /* the bias's own name, where it is another */
    const char *tied; /* the weight's name in files that hold it once, for two uses; NULL: "<prefix>.weight" must be there */
} hd_linear_part;

/* What rows a product reads. Those that a norm of the hidden states has written (hd_states.normed) are multiplied by H in
 * int8 (kernel/hadamard.h), and so are the weights of all that reads them. Others are as they are, also those of a head's
 * own norm, since the weights behind it may be the table of words as well. */
typedef enum hd_linear_input { HD_OF_NORM, HD_OF_OTHERS } hd_linear_input;

/* Binds `name` as packed weights of the given type: the sum of k_padded(part.n) output channels, k inputs. */
HD_MUST_USE hd_status hd__weights_linear(hd_weights *weights, const char *name, k_type type, hd_linear_input input,
                                         const hd_linear_part *parts, int n_parts, int k, k_weights *linear, hd_error *err);

/* Whether a part's weight is the tensor it may share, and so the table of words as well. */
HD_MUST_USE hd_status hd__weights_tied(hd_weights *weights, const hd_linear_part *part, bool *tied, hd_error *err);

/* Binds `name` as one channel in f32: a row of a part of part->n rows, less another one. No bias. */
HD_MUST_USE hd_status hd__weights_difference(hd_weights *weights, const char *name, const hd_linear_part *part, int row,
                                             int less, int k, k_weights *linear, hd_error *err);

/* Binds the adapters of a linear layer of k inputs, whose sections are as wide as `widths` says. Settings know n_tasks, rank
 * and scale. `modules` are one for all sections, or with PEFT's folders (settings->task_dirs) one for each, which then have
 * A of their own: in the adapter's rows one below the other. Tensors are "<module>.parametrizations.weight.0.lora_A"
 * [n_tasks, rank, k] and ".lora_B" [n_tasks, sum of widths, rank], or those of peft.h; a module without any there is not
 * changed. */
HD_MUST_USE hd_status hd__weights_adapter(hd_weights *weights, const char *name, const char *const *modules, int n_modules,
                                          const hd_settings *settings, k_type type, hd_linear_input input, const int *widths,
                                          int n_widths, int k, hd_adapter *adapter, hd_error *err);

/* Binds those of a table of n_rows: lora_A [n_tasks, n_rows, rank] as it is, and lora_B [n_tasks, rank, hidden] scaled; or
 * peft.h's, which are stored the other way round. */
HD_MUST_USE hd_status hd__weights_table_adapter(hd_weights *weights, const char *name, const char *module,
                                                const hd_settings *settings, int n_rows, const float **low,
                                                const float **lift, hd_error *err);

/* Linear layers from other files: a Dense module's folder, or one file with "weight" and "bias". Tensors only, never the
 * cache file's own. The residual of a Dense module that has one is "residual.weight", or where input and output are as wide,
 * the identity. */
HD_MUST_USE hd_status hd__weights_dense(hd_weights *weights, const hd_dense_settings *dense, uint32_t index, k_type type,
                                        hd_linear_input input, k_weights *linear, k_weights *residual, hd_error *err);
HD_MUST_USE hd_status hd__weights_file_linear(hd_weights *weights, const char *file, const char *name, k_type type,
                                              hd_linear_input input, int n, int k, k_weights *linear, hd_error *err);

/* Binds `name` as tensors "<prefix>.weight" and ".bias" ("gamma"/"beta" in old files) of n values; without bias it is 0. */
HD_MUST_USE hd_status hd__weights_norm(hd_weights *weights, const char *name, const char *prefix, int n, bool has_bias,
                                       double eps, hd_norm *norm, hd_error *err);

/* The same without a bias, of a file that has weights less one (Gemma). */
HD_MUST_USE hd_status hd__weights_norm_from_one(hd_weights *weights, const char *name, const char *prefix, int n, double eps,
                                                hd_norm *norm, hd_error *err);

/* Binds `name` as f32 values of a tensor [first + rows, columns]: the rows from `first` on. */
typedef struct hd_table {
    const char *tensor;
    int first, rows, columns;
} hd_table;
HD_MUST_USE hd_status hd__weights_table(hd_weights *weights, const char *name, const hd_table *table, const float **values,
                                        hd_error *err);

/* Binds `name` as n f32 values that the caller computes from the settings: to *fill, which is NULL when they are there
 * already or are only measured. */
HD_MUST_USE hd_status hd__weights_values(hd_weights *weights, const char *name, size_t n, const float **values, float **fill,
                                         hd_error *err);

/* Binds the table of words, tensor [vocab, n] times factor, in the weights' embedding type. */
HD_MUST_USE hd_status hd__weights_words(hd_weights *weights, const char *tensor, int vocab, int n, float factor,
                                        hd_embedding *embedding, hd_error *err);

/* The table of a static model's file: row id is weights[id] * embeddings[mapping[id]], of tensors "embeddings" [rows, n], or
 * "embedding.weight", and where they are there, "weights" and "mapping" [vocab - 1]; the last row is zero. */
HD_MUST_USE hd_status hd__weights_static_words(hd_weights *weights, int vocab, int n, hd_embedding *embedding,
                                               hd_error *err);

/* Whether there is a tensor, or where weights come from a cache file, the blob that would be made of it: for architectures
 * of which some have parts that others lack. */
bool hd__weights_have(hd_weights *weights, const char *tensor, const char *blob);

/* The prefix under which the transformer's tensors are stored: "" or "bert." and the like, found by looking for
 * "<candidate><probe>". Lives as long as the weights. */
HD_MUST_USE hd_status hd__weights_prefix(hd_weights *weights, const char *const *candidates, const char *probe,
                                         const char **prefix, hd_error *err);

#endif
