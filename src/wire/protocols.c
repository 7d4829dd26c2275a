/* protocols.c - which protocols are spoken, in the order in which they are asked whether a request is theirs. */
#include "wire/protocol.h"

const hd_protocol *const hd__protocols[] = {
    &hd__protocol_health,    &hd__protocol_openai,   &hd__protocol_tei,     &hd__protocol_cohere,
    &hd__protocol_jina,      &hd__protocol_llamacpp, &hd__protocol_ollama,  &hd__protocol_search,
    &hd__protocol_documents, &hd__protocol_plugin,   &hd__protocol_openapi, NULL,
};
