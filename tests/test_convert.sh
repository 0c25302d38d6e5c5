#!/bin/sh
#
# test_convert.sh: checks `gpt2 convert` and native files from outside: every command gives the same with
# the file as with the directory, for each type.
#
#     tests/test_convert.sh PROGRAM DEMO_MODEL

# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

succeeds 'convert --help' convert --help
check 'convert --help has examples' grep -q '^ .*gpt2 convert' "$tmp/out"
fails 2 'convert needs the name of a file or a directory' 'no output' convert
fails 2 'convert needs the name of a file or a directory' 'standard output' convert -o -
fails 1 "$tmp/nowhere" 'missing model' convert -m "$tmp/nowhere" -o "$tmp/out.file"

if ! has_model "$demo"; then
    skip 'native files (no demo model)'
    finish
    exit
fi

fails 1 'not a plain file' 'a folder as output' convert -m "$demo" -o "$tmp"
fails 1 "$tmp/no/" 'no such folder' convert -m "$demo" -o "$tmp/no/file"
fails 2 '--verify needs a native file, not the directory' 'a directory is not verified' info -m "$demo" --verify

# same NAME OPTIONS...: a command with the file and with the directory
same() {
    name=$1
    shift
    case $1 in
    tokenize | detokenize) run "$@" -m "$demo" ;;
    *) run "$@" -m "$demo" --type "$type" ;;
    esac
    cp "$tmp/out" "$tmp/wanted"
    succeeds "$type: $name" "$@" -m "$file"
    check "$type: $name: as with the directory" cmp "$tmp/out" "$tmp/wanted"
    check "$type: $name: it is something" test -s "$tmp/out"
}

for type in f32 f16 bf16 q8 q4; do
    file=$tmp/$type.safetensors
    succeeds "$type: convert" convert -m "$demo" -o "$file" --type $type
    same generate generate -p 'It was a' -n 30 -s 1
    same score score -p 'The old man sat down.'
    same tokenize tokenize -p "It's an old man."
    same detokenize detokenize --tokens 40,41,42
    succeeds "$type: info --verify" info -m "$file" --verify
    check "$type: info says that" grep -qx 'checksum *as it was written' "$tmp/out"
    check "$type: info has the type" grep -qx "weights *$type" "$tmp/out"
    succeeds "$type: converted again" convert -m "$file" -o "$tmp/again"
    check "$type: converted again: the same file" cmp "$file" "$tmp/again"
done
succeeds 'the type of the file' convert -m "$demo" -o "$tmp/again"
check 'the type of the file is F16' cmp "$tmp/again" "$tmp/f16.safetensors"
fails 1 'a native file keeps its type: found q8, wanted f32' 'another type' info -m "$tmp/q8.safetensors" --type f32
check 'nothing else is left in the folder' sh -c "! ls '$tmp' | grep -q tmp"

# for other programs: the same model again, from a directory and from a GGUF file
for type in f32 f16 q8; do
    succeeds "$type: convert for transformers" convert -m "$demo" -o "$tmp/$type-hf" --format safetensors --type $type
    succeeds "$type: convert for llama.cpp" convert -m "$demo" -o "$tmp/$type.gguf" --format gguf --type $type
    succeeds "$type: wanted" trace -m "$tmp/$type.safetensors" -p 'The old man sat down.' -o "$tmp/wanted"
    succeeds "$type: trace of the GGUF file" trace -m "$tmp/$type.gguf" -p 'The old man sat down.' -o "$tmp/found"
    check "$type: the GGUF file has the same bits" cmp "$tmp/wanted" "$tmp/found"
    [ $type = q8 ] && continue
    succeeds "$type: trace of the directory" trace -m "$tmp/$type-hf" -p 'The old man sat down.' -o "$tmp/found"
    check "$type: the directory has the same bits" cmp "$tmp/wanted" "$tmp/found"
done
succeeds 'a directory that is there' convert -m "$demo" -o "$tmp/f32-hf" --format safetensors
fails 1 "cannot make the directory $tmp/f32.gguf: " 'a directory where a file is' convert -m "$demo" -o "$tmp/f32.gguf" --format safetensors
fails 2 "'onnx'" 'an unknown format' convert -m "$demo" -o "$tmp/x" --format onnx

# an old file stays where the new one cannot be written
cp "$tmp/q8.safetensors" "$tmp/old"
(ulimit -f 100 2>/dev/null && "$program" convert -m "$demo" -o "$tmp/old") >"$tmp/out" 2>"$tmp/err"
equal 'a full disk: the exit code' $? 1
check 'a full disk: says so' grep -q "cannot write $tmp/old: " "$tmp/err"
check 'a full disk: the old file is kept' cmp "$tmp/old" "$tmp/q8.safetensors"

# damage: in the weights, which are looked at by --verify alone, and in the directory
bytes=$(wc -c <"$tmp/q8.safetensors")
printf 'x' | dd of="$tmp/old" bs=1 seek=$((bytes - 1000)) conv=notrunc 2>/dev/null
succeeds 'a changed weight: opens' info -m "$tmp/old"
fails 1 'the checksum of its weights is not what it was' 'a changed weight: found' info -m "$tmp/old" --verify
cp "$tmp/q8.safetensors" "$tmp/old"
printf 'x' | dd of="$tmp/old" bs=1 seek=20000 conv=notrunc 2>/dev/null
fails 1 'the checksum of its directory is not what it was' 'a changed directory' info -m "$tmp/old"
fails 1 'the checksum of its directory is not what it was' 'a changed directory: tokenize' tokenize -m "$tmp/old" -p a
head -c 1000000 "$tmp/q8.safetensors" >"$tmp/old"
fails 1 "$tmp/old: " 'a file that was cut' generate -m "$tmp/old" -p a
mkdir "$tmp/alone"
cp "$demo/model.safetensors" "$tmp/alone"
fails 1 'is not a native file of libgpt2' 'another safetensors file' \
    info -m "$tmp/alone/model.safetensors"

finish
