/* openai.h - OpenAI's way to say what went wrong, which many others share. */
#ifndef HD_WIRE_OPENAI_H
#define HD_WIRE_OPENAI_H

#include "wire/protocol.h"

extern const hd_dialect hd__dialect_openai;

#endif
