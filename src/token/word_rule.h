/* word_rule.h - the regular expressions that byte-level tokenizers cut text with, as hand-written scanners.
 *
 *   GPT2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   CL100K  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
 * ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ QWEN2   the same with \p{N} in place of \p{N}{1,3}
 *
 * GPT2 is what ByteLevel means by "use_regex" (GPT-2, RoBERTa, ModernBERT), CL100K that of Llama 3, QWEN2 that of Qwen2 and
 * Qwen3. Each leaves no character out, so that a text is nothing but words, one after the other.
 */
#ifndef HD_TOKEN_WORD_RULE_H
#define HD_TOKEN_WORD_RULE_H

#include "base/span.h"

typedef enum hd_word_rule { HD_WORDS_GPT2, HD_WORDS_CL100K, HD_WORDS_QWEN2 } hd_word_rule;

/* Which rule a regular expression is. */
bool hd__word_rule_of(hd_span regex, hd_word_rule *rule);

/* Where the word ends that begins at text[at], at < text.len. The text is valid UTF-8. */
size_t hd__word_end(hd_word_rule rule, hd_span text, size_t at);

#endif
