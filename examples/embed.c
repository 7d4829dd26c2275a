/* embed.c - the smallest use of libheddle: two texts in, their cosine out.
 *
 *   cc embed.c $(pkg-config --cflags --libs heddle) -o embed && ./embed
 */
#include <heddle/heddle.h>
#include <stdio.h>

int main(void)
{
    hd_engine *engine = NULL;
    hd_model *model = NULL;
    hd_error err;
    float vectors[2][384];
    const hd_text texts[2] = {{"the cat sat on the mat", 22}, {"a kitten rests on a rug", 23}};
    bool ok = hd_engine_open(NULL, &engine, &err) == HD_OK &&
              hd_model_open(engine, "sentence-transformers/all-MiniLM-L6-v2", NULL, &model, &err) == HD_OK &&
              hd_encode(model, texts, 2, NULL, vectors[0], NULL, &err) == HD_OK;
    if (ok)
        printf("cosine %.3f\n", (double)hd_cosine(vectors[0], vectors[1], 384));
    else
        fprintf(stderr, "%s\n", err.text);
    hd_model_close(model);
    hd_engine_close(engine);
    return ok ? 0 : 1;
}
