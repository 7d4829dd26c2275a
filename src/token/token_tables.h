/* token_tables.h - the large parts of a tokenizer as arrays without pointers: kept in a file, they are mapped at the next
 * start instead of being made again.
 *
 *   settings  the tokenizer.json that was read, or that another file came down to, with {} for its vocabulary and [] for
 *             its merges; everything small is made from it at each opening
 *   numbers   hd_token_numbers
 *   records   hd_vocab's, with its padding
 *   places    hd_vocab's
 *   slots     hd_vocab's; WordPiece and BPE
 *   scores    hd_unigram's
 *   nodes     of hd_unigram's trie
 *   merges    hd_bpe's slots
 *
 * Each is at a multiple of 8 bytes; integers are the machine's own, little endian. Those that a model of its kind does not
 * have are empty. hd__tokenizer_open_tables opens them.
 */
#ifndef HD_TOKEN_TOKEN_TABLES_H
#define HD_TOKEN_TOKEN_TABLES_H

#include "token/tokenizer.h"

#define HD_TOKEN_TABLES_VERSION 1 /* raise when what the tables hold, or the hash of vocab.c or bpe.c, changes */

typedef enum hd_token_table {
    HD_TABLE_SETTINGS,
    HD_TABLE_NUMBERS,
    HD_TABLE_RECORDS,
    HD_TABLE_PLACES,
    HD_TABLE_SLOTS,
    HD_TABLE_SCORES,
    HD_TABLE_NODES,
    HD_TABLE_MERGES,
    HD_TABLE_COUNT
} hd_token_table;

extern const char *const hd__token_table_names[HD_TABLE_COUNT];

/* The tables of an open tokenizer, as long as it lives; false when it has none, being read from a vocab.txt. */
bool hd__token_tables_of(const hd_tokenizer *tokenizer, hd_span tables[HD_TABLE_COUNT]);

#endif
