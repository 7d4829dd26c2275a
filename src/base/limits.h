/* limits.h - every limit on outside input, by name, in one place. Each is tested at and past its edge. */
#ifndef HD_BASE_LIMITS_H
#define HD_BASE_LIMITS_H

#define HD_LIMIT_JSON_FILE_BYTES (256u << 20)        /* tokenizer.json of large vocabularies is about 20 MB */
#define HD_LIMIT_SAFETENSORS_HEADER_BYTES 100000000u /* the format's own limit */
#define HD_LIMIT_TENSORS 100000u
#define HD_LIMIT_ZIP_ENTRIES 200000u /* of a torch file: one for each storage and a few more */
#define HD_LIMIT_PICKLE_BYTES (64u << 20)
#define HD_LIMIT_GGUF_PAIRS 65536u
#define HD_LIMIT_GGUF_NAME_BYTES 65535u /* a key, as in the format; a tensor's name */
#define HD_LIMIT_TENSOR_DIMS 8u
#define HD_LIMIT_SHARDS 1000u
#define HD_LIMIT_PACKED_KEY_BYTES (1u << 20) /* names every file that the weights came from */
#define HD_LIMIT_TEXT_BYTES (1u << 30)       /* one text; offsets are 32 bits */
#define HD_LIMIT_VOCAB 2000000u
#define HD_LIMIT_VOCAB_BYTES (64u << 20)        /* all entries of a vocabulary */
#define HD_LIMIT_TOKEN_BYTES 4096u              /* one vocabulary entry */
#define HD_LIMIT_PIECE_BYTES 256u               /* one that merges are made of, by SentencePiece's scores */
#define HD_LIMIT_ADDED_TOKENS 16384u            /* of one tokenizer */
#define HD_LIMIT_REGEX_BYTES 16384u             /* of a tokenizer */
#define HD_LIMIT_REGEX_CLASSES_BYTES (1u << 20) /* of one, written out */
#define HD_LIMIT_REGEX_NESTING 100u             /* parentheses in one */
#define HD_LIMIT_REGEX_STEPS 10000000u          /* of one match */
#define HD_LIMIT_REGEX_HEAP_KB 65536u           /* of one match */
#define HD_LIMIT_LAYERS 512u
#define HD_LIMIT_HIDDEN 65536u
#define HD_LIMIT_HEAD_DIM 256u
#define HD_LIMIT_DENSE_WIDTH 1048576u /* values into or out of a Dense module */
#define HD_LIMIT_SEQUENCE 131072u     /* tokens in one sequence */
#define HD_LIMIT_THREADS 1024u
#define HD_LIMIT_DEVICES 16u /* of an engine, beside the CPU */
#define HD_LIMIT_PROMPTS 256u
#define HD_LIMIT_SKIPLIST 4096u                /* tokens of documents that late interaction leaves out */
#define HD_LIMIT_TASKS 256u                    /* adapters of a model */
#define HD_LIMIT_ADAPTER_RANK 1024u            /* of one, and of all of a model together 65536 */
#define HD_LIMIT_ADAPTER_PATTERNS 1024u        /* of modules with an alpha of their own */
#define HD_LIMIT_ADAPTER_PATTERN_STEPS 100000u /* of one match */
#define HD_LIMIT_LABELS 65536u                 /* of a classifier */
#define HD_LIMIT_PATH_BYTES 4096u
#define HD_LIMIT_MODEL_NAME_BYTES 128u /* owner, name and revision, each */
#define HD_LIMIT_LINE_BYTES (1u << 30) /* one line of an input file */

#define HD_LIMIT_HUB_REPLY_BYTES (64u << 20) /* the hub's list of a repository's files */
#define HD_LIMIT_MODEL_FILES 100000u         /* in a repository or an archive */
#define HD_LIMIT_MODEL_BYTES (1ull << 40)    /* of one file from the hub, of an archive's files together */
#define HD_LIMIT_TOKEN_FILE_BYTES 4096u      /* access token of the hub */

#define HD_LIMIT_BODY_BYTES (32u << 20) /* of a request, inflated */
#define HD_LIMIT_HEAD_BYTES 7680u       /* request line, headers, 64 for each header, cookie, parameter; cookies twice */
#define HD_LIMIT_REQUEST_HEADERS 64u
#define HD_LIMIT_REQUEST_ID_BYTES 128u
#define HD_LIMIT_BODY_JSON_DEPTH 32u    /* nested arrays and objects in a request */
#define HD_LIMIT_REQUEST_INPUTS 2048u   /* texts in a request, as OpenAI's */
#define HD_LIMIT_QUEUE_TOKENS 1000000u  /* accepted and not computed */
#define HD_LIMIT_FORM_PARTS 64u         /* of a multipart body */
#define HD_LIMIT_FORM_HEAD_BYTES 8192u  /* of one of them */
#define HD_LIMIT_ANSWERED_HITS 1000u    /* in one answer over HTTP */
#define HD_LIMIT_WAITING_SEARCHES 256u  /* accepted and not begun; more are told to come back */
#define HD_LIMIT_WAITING_WRITES 64u     /* of documents, the same */
#define HD_LIMIT_QUERIES 64u            /* in one request to the retrieval plugin's API */
#define HD_LIMIT_LISTED_DOCUMENTS 1000u /* in one answer */
#define HD_LIMIT_SERVED_MODELS 256u
#define HD_LIMIT_API_KEYS 1024u
#define HD_LIMIT_API_KEY_BYTES 1024u

#define HD_LIMIT_FILE_BYTES (256u << 20)      /* a file that is one document, read whole; JSONL may be of any size */
#define HD_LIMIT_DOCUMENT_CHUNKS 200000u      /* of one document, which are written at once */
#define HD_LIMIT_IGNORE_FILE_BYTES (1u << 20) /* .gitignore, .heddleignore */
#define HD_LIMIT_IGNORE_PATTERN_BYTES 4096u   /* one line of them */

#define HD_LIMIT_CHUNKS (1u << 28)               /* numbers given in an index, dead ones too */
#define HD_LIMIT_CHUNK_BYTES (16u << 20)         /* text of a chunk */
#define HD_LIMIT_DOCUMENT_ID_BYTES 8192u         /* a label and a path fit; also of a chunk's id, a setting's name */
#define HD_LIMIT_DOCUMENT_FIELD_BYTES (1u << 20) /* title, metadata, section, …, each; a setting of an index */
#define HD_LIMIT_TRIGRAM_QUERY_BYTES 4096u       /* of a text looked for as it stands: a longer one is nowhere */

#define HD_LIMIT_DOCUMENT_BYTES (256u << 20)    /* of a document's text, and of its file but for JSONL */
#define HD_LIMIT_HEADING_BYTES 1024u            /* of a heading's name, of a title; longer ones are cut */
#define HD_LIMIT_RECORD_BYTES (64u << 20)       /* of one line of JSONL */
#define HD_LIMIT_RECORD_DEPTH 64u               /* nested arrays and objects in a JSON document */
#define HD_LIMIT_ENCODING_NAME_BYTES 40u        /* that a document names */
#define HD_LIMIT_FRONT_MATTER_BYTES (64u << 10) /* of Markdown */
#define HD_LIMIT_MARKDOWN_EXPANSION 16u         /* what is parsed, times what is there: cells, references */
#define HD_LIMIT_MARKDOWN_STEPS 500000000u      /* brackets, each times the lines of its paragraph before it */
#define HD_LIMIT_HTML_BYTES (32u << 20)
#define HD_LIMIT_HTML_DEPTH 1024u                    /* nested elements */
#define HD_LIMIT_ATTRIBUTES 512u                     /* of one element, of HTML or XML */
#define HD_LIMIT_XML_DEPTH 200u                      /* nested elements in Office files and EPUB's lists */
#define HD_LIMIT_ARCHIVE_ENTRIES 10000u              /* of a DOCX, PPTX or EPUB */
#define HD_LIMIT_ARCHIVE_ENTRY_BYTES (64u << 20)     /* of one of them, unpacked */
#define HD_LIMIT_ARCHIVE_UNPACKED_BYTES (256u << 20) /* of all that are read */
#define HD_LIMIT_ARCHIVE_RATIO 300u                  /* unpacked to packed, over a megabyte */
#define HD_LIMIT_PDF_SECONDS 60u                     /* of a processor, and twice as many by the clock */
#define HD_LIMIT_PDF_MEMORY_BYTES (2ull << 30)       /* of pdftotext */
#define HD_LIMIT_CSV_COLUMNS 4096u
#define HD_LIMIT_CODE_NESTING 4u /* functions in classes in namespaces */

#define HD_LIMIT_OTLP_PAIRS 64u          /* headers, or attributes, in one OTEL_ variable */
#define HD_LIMIT_OTLP_SETTING 86400000u  /* any number in an OTEL_ variable; a day in milliseconds */
#define HD_LIMIT_OTLP_QUEUE 65536u       /* requests whose spans wait for the collector */
#define HD_LIMIT_OTLP_REPLY_BYTES 65536u /* of a collector */

#define HD_LIMIT_FILTER_BYTES 65536u
#define HD_LIMIT_FILTER_NESTING 16u       /* parentheses and NOTs in each other */
#define HD_LIMIT_FILTER_VALUES 8192u      /* tests and values in one */
#define HD_LIMIT_FILTER_FIELD_BYTES 1024u /* one name, with the keys in it */
#define HD_LIMIT_QUERY_BYTES 65536u       /* of a search */
#define HD_DEFAULT_SEARCH_HITS 10u        /* as heddle/index.h has it */
#define HD_LIMIT_SEARCH_HITS 10000u       /* offset and limit together; candidates of a leg */
#define HD_LIMIT_SEARCH_RERANKED 1000u
#define HD_LIMIT_SEARCH_FACETS 64u
#define HD_LIMIT_SNIPPET_BYTES 65536u
#define HD_LIMIT_FACET_VALUES 1000000u /* different ones */

#define HD_LIMIT_WORD_BYTES 64u    /* of a word in the index; longer ones are cut */
#define HD_LIMIT_QUERY_TERMS 1024u /* different ones that a query's words or weights are looked up for */

#endif
