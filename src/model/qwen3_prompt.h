/* qwen3_prompt.h - the chat that asks a Qwen3-Reranker for "yes" or "no":
 *
 *   BEFORE "<Instruct>: " instruction "\n<Query>: " query "\n<Document>: " document AFTER
 *
 * Source: https://huggingface.co/Qwen/Qwen3-Reranker-0.6B. GGUF files hold it as tokenizer.chat_template.rerank, with
 * INSTRUCTION, "{query}" and "{document}" in their places.
 */
#ifndef HD_MODEL_QWEN3_PROMPT_H
#define HD_MODEL_QWEN3_PROMPT_H

#define HD_QWEN3_BEFORE                                                                                                     \
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct provided. "  \
    "Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n"
#define HD_QWEN3_INSTRUCTION "Given a web search query, retrieve relevant passages that answer the query"
#define HD_QWEN3_AFTER "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"

#define HD_QWEN3_TEMPLATE                                                                                                   \
    HD_QWEN3_BEFORE "<Instruct>: " HD_QWEN3_INSTRUCTION "\n<Query>: {query}\n<Document>: {document}" HD_QWEN3_AFTER

#endif
