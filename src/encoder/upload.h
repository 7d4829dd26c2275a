/* upload.h - an encoder on a device that is not the CPU: the same encoder, its weights in the device's memory.
 *
 * All weights go into one block, each part at a multiple of 64 bytes. Panels (kernel/gemm.h) become rows of channels,
 * [n_pad, k_pad]. An encoder of K_F32 may become one of K_F16 or K_BF16: then the weights of its products, but for those of
 * heads that are f32 in any encoder, and the words are rounded on the way. As K_F8 it is one of K_F16 but for the products
 * that read a layer's norm, for queries, keys and values and for the feed-forward's middle, whose channels get scales: what
 * they read is made by the norm itself, and what they make is K_F16. Everything else is copied as it is. Words may stay
 * behind.
 */
#ifndef HD_ENCODER_UPLOAD_H
#define HD_ENCODER_UPLOAD_H

#include "device/accelerator.h"
#include "encoder/encoder.h"

/* Whether a device can run it in a type. */
bool hd__encoder_fits(const hd_encoder *encoder, k_type type, const hd_accelerator *accelerator);

/* How an encoder comes to a device. */
typedef struct hd_upload {
    k_type type;        /* the encoder's own, or fewer bits than its K_F32 */
    bool gathers;       /* its words stay behind */
    uint32_t n_threads; /* that make what is not copied as it is */
} hd_upload;

/* Whether its words may stay behind: then the rows of a batch's tokens are sent to x before each pass, and its ids count
 * them. */
bool hd__encoder_can_gather(const hd_encoder *encoder);

/* Bytes that it takes there, with its words or without, and those of scratch for a pass. HD_ERR_MEMORY: of the host. */
HD_MUST_USE hd_status hd__encoder_measure_there(const hd_encoder *encoder, const hd_upload *how, const hd_room *room,
                                                uint64_t *weights, uint64_t *scratch, hd_error *err);

/* Copies an encoder of the CPU, which must outlive the copy. Call on the stream's thread; nothing is staged for the stream
 * afterwards. The copy is closed by hd__encoder_close, the memory freed beside it. HD_ERR_MEMORY: there is no room; what
 * hd__device_stream_wait says. */
HD_MUST_USE hd_status hd__encoder_upload(const hd_encoder *encoder, const hd_upload *how, hd_device_stream *stream,
                                         hd_encoder **copy, hd_device_memory *memory, hd_error *err);

#endif
