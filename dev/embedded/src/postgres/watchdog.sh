# Runs one command and sees to it that it does not outlive the process that wanted it.
#
# Standard input is a pipe that only the owner holds the other end of. When it closes, because the owner asks for the end or
# because it is gone, the command gets the signals of $1 in turn, each after a TERM, ten seconds apart, until it has ended.
# The command reads what ORDO_INPUT holds, which keeps that out of the list of processes.
# $2 is a folder to remove afterwards: with $3 = always in any case, with $3 = unless-done only if the command failed or the owner is gone.
signals=$1 remove=$2 when=$3
shift 3

exec 3<&0 4</dev/null </dev/null
if [ -n "${ORDO_INPUT-}" ]; then
    exec 4<<END
$ORDO_INPUT
END
fi
unset ORDO_INPUT
"$@" <&4 3<&- 4<&- &
child=$!
exec 4<&-
asked=

# Only this shell signals its child: until it has waited for it, the number cannot belong to another process.
escalate() {
    asked=yes interrupted=yes
    set -- $signals
    # A shell starts what runs beside it with INT and QUIT ignored. Until the command listens, TERM alone reaches it.
    kill -s TERM "$child"
    kill -s "$1" "$child"
    if [ $# -gt 1 ]; then
        shift
        signals=$*
    fi
}
trap escalate USR1

(
    read -r _ <&3
    while kill -s USR1 $$; do
        tenths=0
        while [ $tenths -lt 100 ]; do
            sleep 0.1
            tenths=$((tenths + 1))
        done
    done
) &
reader=$!

interrupted=yes
while [ -n "$interrupted" ]; do
    interrupted=
    wait "$child"
    status=$?
done
kill -s KILL "$reader"

if [ -n "$remove" ] && { [ "$when" = always ] || [ -n "$asked" ] || [ $status -ne 0 ]; }; then
    rm -rf -- "$remove"
fi
exit $status
