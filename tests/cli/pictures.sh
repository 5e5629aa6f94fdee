#!/usr/bin/env bash
# Pictures on the command line: pictures.sh OLIVINE
set -eu
# shellcheck source=tests/cli/common.inc
. "$(dirname "${BASH_SOURCE[0]}")/common.inc"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
images=$root/assets/images
goldens=$root/tests/goldens

# The built-in model sees.
ask() {  # picture, question, answer
    expect 0 "$2" run --image "$images/$1" -p "$2" --temp 0
    check "$1: $2" "$(cat "$scratch/out")" = "$3"
}
ask two-shapes.png "What is in the picture?" "A red circle and a blue square."
ask four-shapes.png "How many shapes are there?" "There are four shapes."
ask one-shape.png "What colour is the triangle?" "The triangle is green."
expect 0 "two pictures" run --image "$images/one-shape.png" --image "$images/two-shapes.png" -p hi -v -n 2
says "one-shape.png: 112 x 112 pixels"

# In a conversation: names with blanks and quotes, follow-up questions, a picture that is no picture.
mkdir "$scratch/a folder"
cp "$images/two-shapes.png" "$scratch/a folder/my picture.png"
chat() {
    code=0
    "$olivine" chat --temp 0 "$@" >"$scratch/out" 2>"$scratch/err" || code=$?
}
chat < <(printf '/image %s\nWhat is in the picture?\nHow many shapes are there?\n' \
    "$scratch/a folder/my picture.png")
check "a name with blanks" "$(head -n 1 "$scratch/out")" = "A red circle and a blue square."
check "a follow-up question" "$(tail -n 1 "$scratch/out")" = "There are two shapes."
for typed in "'$scratch/a folder/my picture.png'" "$scratch/a\\ folder/my\\ picture.png" \
    "~/a folder/my picture.png"; do
    HOME=$scratch chat < <(printf '/image %s\nWhat is in the picture?\n' "$typed")
    check "typed as $typed" "$(cat "$scratch/out")" = "A red circle and a blue square."
done
chat < <(printf '/image /no/such/file.png\nhi\n')
check "a picture that is not there" "$code $(wc -l <"$scratch/out")" = "1 1"
says "/no/such/file.png"
chat < <(printf '/image\n')
check "/image without a name" $code = 1
chat -v < <(printf '/image %s\nWhat is in the picture?\n/regen\n' "$images/two-shapes.png")
check "/regen sees it again" "$(sort -u "$scratch/out")" = "A red circle and a blue square."

# logits: place holders are replaced by the pictures in order.
vision=$goldens/tiny-vision
soft=502,502,502,502,502,502,502,502,502
expect 0 "logits with a picture" logits -m "$vision" --tokens "2,108,500,$soft,501,108,7" \
    --image "$images/two-shapes.png" --out "$scratch/a.npy"
expect 0 "one token at a time" logits -m "$vision" --tokens "2,108,500,$soft,501,108,7" --chunk 1 \
    --image "$images/two-shapes.png" --out "$scratch/b.npy"
check "has the same shape" "$(wc -c <"$scratch/a.npy")" = "$(wc -c <"$scratch/b.npy")"
expect 1 "fewer place holders than pictures" logits -m "$vision" --tokens "2,$soft,7" \
    --image "$images/two-shapes.png" --image "$images/one-shape.png" --out "$scratch/c.npy"
says "9 place holders.*2 pictures of 9.*18"
expect 1 "place holders without pictures" logits -m "$vision" --tokens "2,$soft" --out "$scratch/c.npy"
says "9 place holders.*0 pictures"

# Bad input.
expect 4 "a picture that is not there" run --image /no/such.png -p hi
says "/no/such.png"
: >"$scratch/empty.png"
expect 4 "an empty file" run --image "$scratch/empty.png" -p hi
says "empty"
echo "no picture at all" >"$scratch/text.jpg"
expect 4 "a text" run --image "$scratch/text.jpg" -p hi
says "not a picture"
head -c 300 "$images/two-shapes.png" >"$scratch/cut.png"
expect 4 "a picture that is cut" run --image "$scratch/cut.png" -p hi
printf 'RIFF\x10\0\0\0WEBPVP8 ' >"$scratch/web.png"
expect 4 "a WebP" run --image "$scratch/web.png" -p hi
says "WebP"
# A header of 65535 x 65535 pixels.
{
    printf '\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0'
    head -c 100 /dev/zero
} >"$scratch/bomb.png"
expect 4 "a decompression bomb" run --image "$scratch/bomb.png" -p hi
says "65535"
expect 1 "a text model" logits -m "$goldens/tiny-text" --tokens 2 --image "$images/one-shape.png" \
    --out "$scratch/d.npy"
says "tiny-text reads text only"
many=()
for _ in {1..8}; do many+=(--image "$images/one-shape.png"); done
expect 1 "more pictures than the context holds" run "${many[@]}" -p hi --ctx 100
says "[0-9]{3} tokens.*8 pictures of 16.*100"
expect 2 "--image without a file" run --image
expect 2 "--vision-only without --image" bench --vision-only
expect 0 "bench of a picture" bench --image --vision-only --json
check "says the stages" "$(grep -c '"stage"' "$scratch/out")" = 5
expect 0 "info" info --json
check "says the encoder's bytes" "$(grep -c '"vision_bytes": [1-9]' "$scratch/out")" = 1

summary
