#!/bin/sh
# make_man.sh PROGRAM: writes gpt2.1 to standard output: what PROGRAM's own help says.
set -eu
program=$1

# text: standard input, as it is
text() {
    printf '.nf\n'
    sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^[.']/\\\\\&&/"
    printf '.fi\n'
}

commands=$("$program" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
cat <<END
.\\" Made by "make man" from the help of gpt2.
.TH GPT2 1 "" "$("$program" --version)" "libgpt2"
.SH NAME
gpt2 \\- run GPT\\-2 language models: write, score and study text
.SH DESCRIPTION
END
"$program" --help | text
for command in $commands; do
    [ "$command" != help ] || continue
    printf '.SH GPT2 %s\n' "$(printf %s "$command" | tr '[:lower:]' '[:upper:]')"
    "$program" "$command" --help | text
done
cat <<'END'
.SH SEE ALSO
.BR libgpt2 (3)
END
