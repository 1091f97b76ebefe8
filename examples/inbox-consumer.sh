#!/bin/sh
# Runs a command for each message of an inbox of chariotd (--subscribe-spool=TOPIC:DIR), oldest first, and removes
# the message when the command has succeeded:
#
#   inbox-consumer.sh [-1] DIR COMMAND [ARGUMENT]...
#
# The command has the payload on its standard input, and in its environment
#   MESSAGE         the file with the payload, DIR/new/TIME.SEQUENCE
#   MESSAGE_HEADER  the file with topic, QoS, time and properties, one line of JSON
# Its exit code decides: after 0 the message is removed; after 100, which means that it will never work, it is moved
# to DIR/failed, with its header; after any other it stays and is tried again, and those behind it wait.
#
# A crash or power cut at any moment loses nothing. It repeats at most the message that was being handled, so the
# command should not mind doing the same thing twice. One consumer for one inbox.
#
# With -1 it handles what is there and ends. Else it looks again every INBOX_WAIT seconds, default 1.
# POSIX sh, for dash and BusyBox ash.

once=
if [ "${1-}" = -1 ]; then
	once=1
	shift
fi
if [ $# -lt 2 ]; then
	printf 'usage: %s [-1] DIR COMMAND [ARGUMENT]...\n' "${0##*/}" >&2
	exit 100
fi
dir=$1
shift

# The header is copied before the message goes: chariotd removes headers whose message is gone.
give_up() {
	mkdir -p "$dir/failed" || return
	cp "$MESSAGE_HEADER" "$dir/failed/" || :
	mv "$MESSAGE" "$dir/failed/"
}

while :; do
	# Names sort by time; headers are hidden, so the pattern does not match them.
	for MESSAGE in "$dir"/new/*; do
		[ -f "$MESSAGE" ] || continue
		MESSAGE_HEADER=$dir/new/.${MESSAGE##*/}.json
		export MESSAGE MESSAGE_HEADER
		"$@" <"$MESSAGE"
		case $? in
		0) rm "$MESSAGE" || break ;;
		100) give_up || break ;;
		*) break ;;
		esac
	done
	[ -z "$once" ] || exit 0
	sleep "${INBOX_WAIT:-1}"
done
