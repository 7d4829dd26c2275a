/* bench_texts.c - see bench_texts.h. */
#include "cli/bench_texts.h"

#include <stdio.h>

const char *const cli_bench_queries[CLI_BENCH_QUERIES] = {
    "how do tides work",
    "why does bread rise",
    "best way to store potatoes over winter",
    "what makes a database index fast",
    "symptoms of iron deficiency",
    "how long does a letter take to cross the ocean by ship",
    "difference between a violin and a viola",
    "when should I prune apple trees",
    "who invented the printing press",
    "how to stop a tap from dripping",
};

static const char *const sentences[] = {
    "The moon pulls at the sea nearest to it and the earth is drawn away from the sea on the far side.",
    "Yeast turns sugar into gas, and the gluten in the dough keeps the bubbles from escaping.",
    "A cellar that is dark, cool and a little damp keeps roots firm until spring.",
    "An index trades space for time: it stores the answer to a question that has not been asked yet.",
    "Tired legs and pale skin can have many causes, and a blood test tells them apart.",
    "Sailing ships waited for the season's winds; steamers kept a timetable.",
    "The lower strings of the larger instrument need a longer body to sound full.",
    "Cut in late winter, above a bud that points outward, and the tree will grow open to the light.",
    "Movable metal type made it cheap to print a page twice and dear to print it only once.",
    "Most leaks come from a worn washer, a part that costs less than the water it lets through.",
    "The mountain railway climbs a thousand metres in an hour, through forty tunnels.",
    "Glass is made from sand, soda and lime, melted together and cooled too slowly to crack.",
    "Swallows return to the same barn year after year, often to the same beam.",
    "A contract is an exchange of promises that a court is willing to enforce.",
    "The museum keeps its oldest maps in drawers, away from daylight and from curious fingers.",
    "Compilers remove work that has no effect, which is why a careless benchmark measures nothing.",
    "Salt lowers the freezing point of water, and so the roads stay wet instead of icy.",
    "The translator left one word as it was, because no other language had needed it.",
    "Solar panels give less when they are hot, so a cold bright morning is their best hour.",
    "Two players and one clock are all that is needed; the board can be drawn on paper.",
    "The river changed its bed in a single night, and the border moved with it.",
    "Vaccines show the body a picture of an enemy it has never met.",
    "A good index finger and a little patience are enough to shape a bowl on the wheel.",
    "The old bridge carries walkers only, since the engineers looked at its bolts.",
};
#define N_SENTENCES (sizeof sentences / sizeof sentences[0])

size_t cli_bench_document(size_t i, char text[CLI_BENCH_DOCUMENT_BYTES])
{
    const char *s[3];
    for (size_t j = 0; j < 3; j++)
        s[j] = sentences[(i + j * (5 + i / N_SENTENCES)) % N_SENTENCES];
    int n = snprintf(text, CLI_BENCH_DOCUMENT_BYTES, "%s %s %s", s[0], s[1], s[2]);
    return n > 0 ? (size_t)n : 0;
}
