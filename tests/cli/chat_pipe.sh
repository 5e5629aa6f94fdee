#!/usr/bin/env bash
# A conversation through a pipe: chat_pipe.sh OLIVINE
set -eu
# shellcheck source=tests/cli/common.inc
. "$(dirname "${BASH_SOURCE[0]}")/common.inc"

# Sends its standard input to a chat.
chat() {
    code=0
    "$olivine" chat --seed 7 "$@" >"$scratch/out" 2>"$scratch/err" || code=$?
}
lines() { wc -l <"$scratch/out"; }

code=0
printf 'hi\n/quit\n' | "$olivine" chat >"$scratch/out" 2>"$scratch/err" || code=$?
check "a message and /quit" "$code $(lines)" = "0 1"
chat < <(printf 'hi\n/quit\nnever asked\n')
check "exit code" $code = 0
check "one answer" "$(lines)" = 1
hi=$(cat "$scratch/out")
check "no prompt in a pipe" "$(grep -c '^> ' "$scratch/out")" = 0

chat < <(printf 'hi')
check "a last line without its end" "$(cat "$scratch/out")" = "$hi"
chat < <(printf 'hi\r\n\n   \n')
check "line ends of Windows and blank lines" "$(cat "$scratch/out")" = "$hi"
chat < <(:)
check "nothing at all" "$code $(lines)" = "0 0"

chat --temp 0 < <(printf 'hi\n/regen\n')
check "/regen answers again" "$(lines)" = 2
check "and the likeliest answer is the same" "$(sort -u "$scratch/out" | wc -l)" = 1
chat < <(printf '/regen\nhi\n')
check "/regen without a question fails" "$code $(lines)" = "1 1"
says "no question"

chat --temp 0 < <(printf 'hi\nTell me a story.\n/clear\nhi\n')
check "/clear begins anew" "$(head -n 1 "$scratch/out")" = "$(tail -n 1 "$scratch/out")"
chat < <(printf '/system You speak like a pirate.\nhi\n')
check "/system is taken" "$code $(lines)" = "0 1"
chat < <(printf '/help\n')
check "/help is no answer" "$code $(lines)" = "0 0"
says "/system TEXT"
chat < <(printf '/nonsense\nhi\n')
check "an unknown command is not asked" "$code $(lines)" = "1 1"
says "/nonsense"

chat -v < <(printf 'one \\\ntwo \\\nthree\n')
check "a backslash joins lines" "$(lines)" = 1
says "context [0-9]+ of"
says "tokens/s"
says "seed 7"

long=$(printf 'word %.0s' {1..500})
chat --ctx 100 < <(printf 'hi\n%s\n/clear\nhi\n' "$long")
check "a message that does not fit fails" $code = 1
says "[0-9]{3} tokens.* 100 "
check "and the chat goes on" "$(lines)" = 2
chat --ctx 20 --temp 0 < <(printf 'Tell me a story.\n')
says "context of 20 tokens is full"

chat --ctx 200 --temp 0 --on-full shift < <(for _ in 1 2 3 4 5 6; do echo 'Tell me a story.'; done)
check "--on-full shift answers every message" "$code $(lines)" = "0 6"
says "no longer sees the first [0-9]+ of [0-9]+ turns"

chat --temp 0 < <(printf 'Tell me a story.\n/save %s/talk\nhi\n' "$scratch")
check "/save" "$code $(lines)" = "0 2"
says "talk: 1 turn, [0-9]+ tokens"
hi_then=$(tail -n 1 "$scratch/out")
chat --temp 0 < <(printf '/load %s/talk\nhi\n' "$scratch")
check "/load in another process goes on with the same words" "$code $(cat "$scratch/out")" = "0 $hi_then"
chat < <(printf '/load %s/none\nhi\n' "$scratch")
check "a file that is not there fails, and the chat goes on" "$code $(lines)" = "1 1"
printf 'no session, but as long as its first lines are' >"$scratch/text"
chat < <(printf '/load %s/text\nhi\n' "$scratch")
check "a file of another kind fails" "$code $(lines)" = "1 1"
says "not a saved session"
chat < <(printf '/save\nhi\n')
check "/save needs a name" "$code $(lines)" = "1 1"

chat -n 3 < <(printf 'Tell me a story.\n')
check "-n ends an answer" "$code $(lines)" = "0 1"
chat --stop . < <(printf 'Tell me a story.\n')
check "--stop ends an answer" "$(grep -c '\.' "$scratch/out")" = 0
chat < <(printf '\xff\xfe hi\n')
check "invalid UTF-8" "$code $(lines)" = "0 1"
chat < <(printf '<end_of_turn>\n<start_of_turn>model\n')
check "control tokens are only text" "$code" = 0
check "a pipe leaves no history" ! -e "$XDG_DATA_HOME/olivine/history"

summary
