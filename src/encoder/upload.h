/* upload.h - an encoder on a device that is not the CPU: the same encoder, its weights in the device's memory.
 *
 * All weights go into one block, each part at a multiple of 64 bytes. Panels (kernel/gemm.h) become rows of channels,
 * [n_pad, k_pad]. An encoder of K_F32 may become one of K_F16 or K_BF16: then the weights of its products, but for those of
 * heads that are f32 in any encoder, and the words are rounded on the way. Everything else is copied as it is.
 */
#ifndef HD_ENCODER_UPLOAD_H
#define HD_ENCODER_UPLOAD_H

#include "device/accelerator.h"
#include "encoder/encoder.h"

/* Whether a device can run it in a type. */
bool hd__encoder_fits(const hd_encoder *encoder, k_type type, const hd_accelerator *accelerator);

/* Copies an encoder of the CPU, which must outlive the copy. Call on the stream's thread. The copy is closed by
 * hd__encoder_close, the memory freed beside it. `type` is the encoder's own, or fewer bits than its K_F32.
 * HD_ERR_MEMORY: there is no room; what hd__device_stream_wait says. */
HD_MUST_USE hd_status hd__encoder_upload(const hd_encoder *encoder, k_type type, hd_device_stream *stream, hd_encoder **copy,
                                         hd_device_memory *memory, hd_error *err);

#endif
