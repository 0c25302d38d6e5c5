/*
 * generate.c: `gpt2 generate`: continues a prompt.
 */
#include <gpt2.h>

#include "command.h"
#include "options.h"
#include "parallel.h"
#include "sampling.h"

static enum outcome generate(const struct options *options)
{
    gpt2_sample_params sampling;

    sampling_init(&sampling, options);
    return generate_texts(options, &sampling);
}

const struct command command_generate = {
    .name = "generate",
    .summary = "continue a text",
    .synopsis = "[-m MODEL] [[-p] TEXT | -f FILE | --tokens IDS | --prompts FILE] [OPTIONS]",
    .help =
        "Prints the prompt and then each new token as soon as the model has chosen it, with a\n"
        "newline at the end.  It stops after -n tokens, before the token <|endoftext|> or a "
        "--stop\n"
        "string, or when the context is full.  With --context-shift it then keeps the first "
        "--keep\n"
        "tokens and the newest half of the others, and goes on.\n"
        "\n"
        "A backslash in TEXT is a backslash; in bash, $'two\\nlines' writes a newline.  If FILE\n"
        "ends with a newline, that newline is not part of the prompt.  With --tokens, or if the\n"
        "model has no tokenizer, the output is token ids on one line.\n"
        "\n"
        "The same prompt, sampling options and seed give the same text on every machine, with any\n"
        "-t, --cpu, -b and --parallel.  Without -s each run uses a new seed, which a terminal\n"
        "shows at the end.\n"
        "\n"
        "Many texts: --prompts continues each line of FILE, --n-choices continues one prompt in\n"
        "several ways.  They run together, which takes less time than one after the other.  The\n"
        "texts come in the order of the prompts, each below a line such as ==> line 3 <== and\n"
        "whole.  Each is the text of a single run with --stream.  The first text has stream 0,\n"
        "or what --stream says, and each text after it the next one.  If a prompt is too long, or\n"
        "its logits are not finite, that is reported and the others go on; the exit code is 1.\n"
        "\n"
        "With --jsonl a line of FILE is an object such as\n"
        "  {\"prompt\": \"Once\", \"id\": 7, \"seed\": 1}\n"
        "\"id\" is any value, and is copied to the output.  A \"seed\" takes the place of -s, and "
        "the\n"
        "text has the first stream.  Both may be absent; blank lines are skipped.  Each text is\n"
        "one line of output:\n"
        "  {\"index\": 0, \"id\": 7, \"prompt\": \"Once\", \"text\": \" upon a time\", "
        "\"n_tokens\": 3,\n"
        "   \"stop\": \"length\"}\n"
        "\"stop\" is \"length\" after -n tokens, \"eot\" before <|endoftext|>, \"string\" before "
        "a\n"
        "--stop string, \"context\" if the context is full, or \"error\".  With --no-echo there is "
        "no\n"
        "\"prompt\".  Bytes that are not UTF-8 become U+FFFD.\n"
        "\n"
        "A --stop string is found across the borders of tokens, and no part of it is printed.\n"
        "\"n_tokens\" counts its tokens, too.\n"
        "\n"
        "With --logprobs the output is a table in place of the text: for each new token its id, "
        "its\n"
        "log-probability (natural, before options of sampling change it), its rank among all "
        "tokens,\n"
        "itself as a JSON string, and the N likeliest tokens with their log-probabilities.  With\n"
        "--jsonl each object has at its end, as OpenAI's completions do,\n"
        "  \"logprobs\": {\"tokens\": [\" upon\"], \"token_logprobs\": [-0.5],\n"
        "               \"top_logprobs\": [{\" upon\": -0.5}], \"text_offset\": [0]}\n"
        "The arrays have \"n_tokens\" members.  Those of \"top_logprobs\" have the N likeliest "
        "tokens and\n"
        "the one that was drawn.  Offsets are characters of \"text\".  A token that is only a part "
        "of a\n"
        "character is written as its bytes, \"bytes:\\xe2\\x80\"; a probability of 0 as -9999.\n"
        "\n"
        "Options of sampling have the names of llama.cpp.  Those that llama.cpp has on by default\n"
        "are off here, but for --temp, --top-k and --top-p.\n",
    .examples =
        "  gpt2 generate 'Once upon a time'\n"
        "  gpt2 generate -m models/gpt2 -p 'The capital of France is' -n 20 --temp 0\n"
        "  gpt2 generate -f story.txt -n -1 --temp 0.9 --top-k 0 --top-p 0.9 -s 7 --no-echo\n"
        "  gpt2 generate --prompts lines.txt --parallel 16 -n 40 -s 1\n"
        "  gpt2 generate --prompts requests.jsonl --jsonl > texts.jsonl\n"
        "  gpt2 generate -p 'Once upon a time' --n-choices 4 -s 1\n"
        "  gpt2 generate -p 'Once upon a time' -n 2000 --context-shift --keep 4\n"
        "  gpt2 generate -p 'Once upon a time' --stop '.' --stop '!' --logprobs 3\n"
        "  gpt2 generate -p 'Once upon a time' --top-k 0 --top-p 1 --min-p 0.05 --repeat-penalty "
        "1.1\n"
        "  gpt2 generate -m models/nano-sort --tokens 0,2,1,1,0,2 -n 6 --temp 0\n",
    .option_groups = OPTIONS_COMMON | OPTIONS_TEXT | OPTIONS_TOKENS | OPTIONS_CONTEXT |
                     OPTIONS_SAMPLING | OPTIONS_GENERATE,
    .operand = OPERAND_PROMPT,
    .run = generate,
};
