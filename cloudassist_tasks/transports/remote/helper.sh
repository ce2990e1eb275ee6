# helper.sh - runs one script on this host at most once, watches it, keeps its result.
#
#   sh helper.sh OPERATION ...     the operations and their answers: PROTOCOL.md
#
# One file, because it travels as one file. Processes of a run (all else is builtins: a fork costs 0.2 ms
# of CPU, fork + exec 1.0 to 1.5 ms):
#   launcher    holds the SSH channel; waits for the supervisor, streams the output; may die at any moment
#   supervisor  own session, no inherited descriptors; parent of the script; publishes the result
#   collector   copies the output into segment files (one `dd` per segment) until the last writer is gone
#   watchdog    one `sleep`, no ticks: tells the launcher to go live, stops the run after `timeout`,
#               also when the supervisor has been killed
# `cancel` needs none of them: it checks the identity of the script and kills it itself.
# The script starts only in the process that created `started` (I1); see PROTOCOL.md for the files.
#
# A shell parses as it goes, and pays for that in each of the two shells of a run. So the order is that of need:
# what all share, then the launcher of a short run, which ends there; then the supervisor, which ends there; then the rest.
#
# Needs Linux' /proc and POSIX tools; setsid, mkfifo and pgrep have fallbacks. dash, busybox ash, bash, mksh.

set -u
umask 077
case ${PATH-} in */sbin*) ;; *) PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin;; esac
LC_ALL=C                                 # ${#line} counts bytes, dd speaks English
export PATH LC_ALL

case $0 in /*) SELF=$0;; *) SELF=$PWD/$0;; esac
BASE=${SELF%/bin/*}                      # survives a reboot
OPERATION=${1-} ID='' NONCE=-
BLOCK=4096 BLOCKS=128                    # a segment ends after 128 reads: at most 512 KiB
MAX_FRAME=61440                          # bytes of output in one frame
SETTLE_CS=30                             # how long the watchdog leaves the end of the output alone
NAP=0.05                                 # only used while something is being killed or is late
UNKILLABLE_CS=1000                       # what SIGKILL has not ended after that is uninterruptible
SCRIPT_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin      # not that of the login, which differs

case ${KSH_VERSION-} in                  # mksh has no builtin printf
*MIRBSD*) say() { print -r -- "$*"; }; say_raw() { print -rn -- "$*"; }; say_escaped() { print -n -- "$*"; };;
*)        say() { printf '%s\n' "$*"; }; say_raw() { printf %s "$*"; }; say_escaped() { printf %b "$*"; };;
esac
line() { read_clock; say "CA1 $NONCE boot=$boot now_cs=$now_cs $*"; }
fail() { line "err=$1${2:+ detail=$2} out=0"; exit 74; }


# ------------------------------------------------------------ small files, without forks

get() { # get FILE VARIABLE: first line of FILE. An empty file is an absent file (I7).
  eval "$2="
  { read -r "$2"; } 2>/dev/null < "$1"
  eval "[ -n \"\$$2\" ]"
}
create() { # create FILE TEXT: succeeds for exactly one caller, ever (noclobber is O_CREAT|O_EXCL)
  set -C
  { say "$2"; } 2>/dev/null > "$1"
  set -- $?
  set +C
  return "$1"
}
read_clock() { # -> now_cs: 1/100 s since boot. Wall clock times are the worker's business.
  read -r now_cs _ < /proc/uptime
  now_cs=${now_cs%.*}${now_cs#*.}
}
decode() { # decode VALUE -> text: percent-encoded bytes. Fails on a bad code, on NUL and on a backslash.
  text=$1
  case $1 in *\\*) return 1;; *%*) ;; *) return 0;; esac
  text='' rest=$1
  while :; do
    case $rest in *%*) ;; *) break;; esac
    text=$text${rest%%"%"*} rest=${rest#*"%"}
    case $rest in 00*) return 1;; [0-9A-Fa-f][0-9A-Fa-f]*) ;; *) return 1;; esac
    byte=$((0x${rest%"${rest#??}"})) rest=${rest#??}
    text="$text\\0$((byte / 64))$((byte / 8 % 8))$((byte % 8))"
  done
  text=$(say_escaped "$text${rest}x")    # x: a command substitution drops newlines at the end
  text=${text%x}
}


# ------------------------------------------------------------ identity of a process (I5)

read_stat() { # read_stat PID -> p_state p_parent p_session p_start
  { read -r stat_line; } 2>/dev/null < "/proc/$1/stat" || return 1
  while :; do                            # the name may hold blanks and parentheses; from the left, `##*)` is quadratic
    case $stat_line in *\)*) stat_line=${stat_line#*\)};; *) break;; esac
  done
  set -- $stat_line
  p_state=$1 p_parent=$2 p_session=$4
  shift 19
  p_start=$1
}
identify() { read_stat "$1" && identity="$boot $1 $p_start"; }
is_alive() { # is_alive "BOOT PID START ...": same boot, same start time, not a zombie; -> p_pid
  set -- $1
  [ $# -ge 3 ] && [ "$1" = "$boot" ] && read_stat "$2" && [ "$p_start" = "$3" ] || return 1
  p_pid=$2
  [ "$p_state" != Z ] && [ "$p_state" != X ]
}
in_session() { # exec in a session of its own. Without any tool for it: at least deaf to the end of ours.
  if command -v setsid >/dev/null; then exec setsid "$@"
  elif command -v perl >/dev/null; then exec perl -e 'use POSIX; POSIX::setsid(); exec { $ARGV[0] } @ARGV; exit 127' "$@"
  elif command -v python3 >/dev/null; then exec python3 -c 'import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])' "$@"
  fi
  trap '' HUP
  exec "$@"
}


# ------------------------------------------------------------ result (I3): complete or absent, first writer wins

reserve() { # 1 KiB of allocated blocks, so that a disk that fills up later cannot eat what is to be written there
  blank='                                                                '
  blank=$blank$blank$blank$blank blank=$blank$blank$blank$blank
  { say "$blank"; } 2>/dev/null > "$1"
}
keep() { # keep NAME TEXT: in the place that the launch has reserved for it, where NAME itself found no room
  { say "$2"; } 2>/dev/null 1<> "kept.$1.${LAUNCHER:-${started##* }}"
}
recall() { get "$1" "$1" || get "kept.$1.${LAUNCHER:-${started##* }}" "$1"; }
publish() { # publish SLOT KEY=VALUE...   Every writer has its own slot. Whoever publishes wakes the followers.
  slot_file=$1
  shift
  read_clock
  { say "$* end_cs=$now_cs"; } 2>/dev/null 1<> "$slot_file" && link_result
  wake_followers
  [ -s result ]
}
link_result() { # a link may need an inode, and `kept.started` has one to give
  ln "$slot_file" result 2>/dev/null || [ -s result ] || { rm -f kept.started.*; ln "$slot_file" result 2>/dev/null; }
}
publish_counted() { # publish_counted SLOT RESULT...: by whoever finds the supervisor gone, with what the spool holds
  count_output
  recall child && start_of_child
  slot_file=$1
  shift
  case $slot_file in slot.late.*|slot.pipe.*)      # a full disk has one place left for these
    reserve "$slot_file" || for spare in slot.spare.*; do mv "$spare" "$slot_file" 2>/dev/null && break; done;;
  esac
  publish "$slot_file" "$* total=$total dropped=$dropped head=$head tail=$tail start_cs=${start_cs:-0} oerr=$problem"
  set -- $?
  case $slot_file in slot.late.*) rm -f "$slot_file";; esac
  forget_secret
  return "$1"
}
start_of_child() { set -- $child; start_cs=${4-}; }
forget_secret() { [ -z "$secret" ] || rm -f ./script.* ./spec.*; }
wake_followers() {
  for follower_file in "$SPOOL"/live.*; do
    get "$follower_file" follower && is_alive "$follower" && kill -s USR1 "$p_pid" 2>/dev/null
  done
}


# ------------------------------------------------------------ the spec

default_spec() {
  timeout=60 user='' cwd='' mode=ProcessTree head=6144 tail=18432 sweep='' grace=0 ext='' launcher_text='' secret=''
  len='' lines='' sha256=''
}
is_number() { case $1 in ''|*[!0-9]*|?????????????*) return 1;; esac; }
take_pair() { # take_pair KEY=VALUE: fails when the value is not what PROTOCOL.md says
  value=${1#*=}
  case $1 in
  timeout=*|head=*|tail=*|grace=*|len=*|lines=*)
    is_number "$value" || return 1
    value=${value#"${value%%[!0]*}"}     # arithmetic would take a leading zero for octal
    eval "${1%%=*}=\${value:-0}";;
  mode=*) mode=$value; [ "$mode" = Process ] || [ "$mode" = ProcessTree ];;
  user=*) decode "$value" && user=$text;;
  cwd=*)  decode "$value" && cwd=$text;;
  sweep=1|secret=1) eval "${1%%=*}=1";;
  sweep=*|secret=*) [ -z "$value" ] || [ "$value" = 0 ];;
  ext=*) ext=$value
    case $ext in '') ;; .?*) case ${ext#.} in *[!A-Za-z0-9]*|?????????????????*) return 1;; esac;; *) return 1;; esac;;
  sha256=*) sha256=$value; case $value in *[!0-9a-f]*) return 1;; esac; [ ${#value} -eq 64 ] || [ -z "$value" ];;
  launcher=*) launcher_text=$value; fill_launcher X;;
  esac
}
fill_launcher() { # fill_launcher PATH -> command: the launcher's text, decoded, with PATH at its marker
  command='' left_over=$launcher_text
  while :; do
    case $left_over in *"%SCRIPT%"*) ;; *) break;; esac
    decode "${left_over%%"%SCRIPT%"*}" || return 1
    command=$command$text$1 left_over=${left_over#*"%SCRIPT%"}
  done
  decode "$left_over" || return 1
  command=$command$text
}
load_spec() { # load_spec FILE: none: the defaults
  default_spec
  [ -e "$1" ] || return 0
  while read -r pair; do take_pair "$pair" || :; done < "$1"
}


# ------------------------------------------------------------ state

find_run() { # find_run ID: -> RUN, SPOOL. A run that was started under another base of ours is that run (I1).
  ID=$1
  case $ID in ''|.*|*[!A-Za-z0-9._-]*) fail BadId;; esac
  [ ${#ID} -le 160 ] || fail BadId
  RUN=$BASE/$ID
  if ! [ -e "$RUN/started" ]; then
    for other in /var/lib/ca "${HOME:-/nonexistent}/.ca" "/var/tmp/ca-$OWN_UID"; do
      [ -e "$other/$ID/started" ] && [ -O "$other/$ID/started" ] && get "$other/conf" conf || continue
      BASE=$other RUN=$other/$ID SPOOL_BASE=${conf%% *}
      break
    done
  fi
  SPOOL=$SPOOL_BASE/$ID
  ! [ -d "$RUN/o" ] || SPOOL=$RUN/o
}
settle() { # -> state, and result_line when done. Decides only on proof: result, boot id, dead identities (I7).
  result_line='' tries=0 start_cs=''
  [ -d "$RUN" ] && cd "$RUN" || { state=absent; return; }
  while ! get result result_line; do
    [ -e started ] || { state=prepared; return; }
    if get started started && [ "${started%% *}" != "$boot" ]; then
      get result result_line || rm -f result                 # a power cut can leave an empty one
      load_spec "spec.${started##* }"
      publish_counted "slot.late.$$" "result=lost code=InstanceRebooted" || fail NoSpaceOrReadOnly
    elif is_alive "$started"; then state=running; break
    elif recall child && is_alive "$child"; then state=orphan; break
    else                                 # a writer may be between two steps: look again, then decide
      tries=$((tries + 1))
      sleep 0.5 2>/dev/null || sleep 1
      [ $tries -ge 3 ] || continue
      load_spec "spec.${started##* }"
      publish_counted "slot.late.$$" "result=lost code=SupervisorKilled" || fail NoSpaceOrReadOnly
    fi
  done
  if [ -n "$result_line" ]; then state=done
  elif recall child; then start_of_child; fi
}
facts() { # -> facts: what a frame says about the state
  facts="state=$state"
  case $state in
  done) facts="$facts $result_line"; case $result_line in *code=NotStarted*) facts="$facts notstarted=1";; esac;;
  running|orphan) facts="$facts${start_cs:+ start_cs=$start_cs}";;
  esac
}


# ------------------------------------------------------------ kept output: segments, named by their first byte's offset

segment_start() { # segment_start PATH -> start
  start=${1##*/} start=${start#"${start%%[!0]*}"} start=${start:-0}
}
newest_segment() { # -> segment, start
  set -- "$SPOOL"/[0-9]*
  while [ $# -gt 8 ]; do shift 8; done
  while [ $# -gt 1 ]; do shift; done
  segment=$1
  [ -e "$segment" ] || return 1
  segment_start "$segment"
}
measure_output() { # -> total, while the collector may still write
  total=0
  newest_segment || return 0
  total=$((start + $(wc -c < "$segment")))
}
count_output() { # -> total, dropped, problem, at the end of a run
  { true > "$SPOOL/drain"; } 2>/dev/null    # from here on the collector throws nothing away that we have counted
  if get end end; then total=${end%% *} problem=${end#* }; else problem=-; measure_output; fi
  dropped=$((total - head - tail)); [ $dropped -gt 0 ] || dropped=0
}


# ------------------------------------------------------------ what is wanted

get /proc/sys/kernel/random/boot_id boot || boot=none
tag='' more='' gone='' secret='' start_cs='' ended='' started='' LAUNCHER=''
default_spec
case $OPERATION in                       # ID NONCE [ARG], or NONCE ARGS
launch|follow|status|output|cancel) name=${2-} NONCE=${3:--};;
supervise) name=$2 NONCE=-;;
*) name='' NONCE=${2:--};;
esac
case $NONCE in -) ;; *[!A-Za-z0-9]*) NONCE=-; fail BadOperation nonce;; esac
{ read -r SPOOL_BASE OWN_UID OWN_USER SWITCH SCOPE OWN_SHELL; } 2>/dev/null < "$BASE/conf" || fail NotPrepared
case $OPERATION in
launch|supervise|follow|status|output|cancel) find_run "$name";;
esac
case $OPERATION in
follow|output|gc) eval "argument=\${$#}"; is_number "$argument" || fail BadOperation;;
esac


# ------------------------------------------------------------ launcher

receive_script() { # stdin -> FILE, -> got (bytes). The caller compares it with the declared length (I2).
  got=0
  if [ -z "$lines" ]; then               # any bytes: two processes
    head -c "$len" > "$1" 2>/dev/null && got=$(($(wc -c < "$1")))
    return
  fi
  while [ "$lines" -gt 0 ] && IFS= read -r text; do        # text: that many lines, no processes
    lines=$((lines - 1)) got=$((got + ${#text} + 1))
    if [ "$lines" -eq 0 ] && [ "$got" -eq $((len + 1)) ]; then
      got=$len                           # the script itself does not end in a newline
      say_raw "$text" || return 1
    else
      say "$text" || return 1
    fi
  done 2>/dev/null > "$1"
}
receive_spec() { # stdin -> spec, and its variables
  default_spec
  spec='' pair=
  while IFS= read -r pair && [ "$pair" != -- ]; do
    take_pair "$pair" || fail BadSpec "${pair%%=*}"
    case $pair in len=*|lines=*|sha256=*) ;; *) spec="$spec$pair
";; esac
  done
  [ "$pair" = -- ] || fail Truncated
  [ -n "$len" ] || fail BadSpec len
  [ "$OWN_UID" -eq 0 ] || [ -z "$user" ] || [ "$user" = "$OWN_USER" ] || fail SudoNotAvailable "$OWN_USER"
}
make_places() { # the run's directory and its spool; without room in the spool, output goes beside the run
  [ -d "$RUN" ] || mkdir -m 711 "$RUN" "$SPOOL" 2>/dev/null || mkdir -p -m 711 "$RUN" 2>/dev/null
  cd "$RUN" 2>/dev/null || fail NoSpaceOrReadOnly
  [ -d "$SPOOL" ] || mkdir -p "$SPOOL" 2>/dev/null
  if ! [ -O "$SPOOL" ] || ! [ -O "$SPOOL_BASE" ]; then
    SPOOL=$RUN/o
    mkdir -p "$SPOOL" 2>/dev/null || fail NoSpaceOrReadOnly
  fi
}
reserve_places() { # for every word that must be written after the start, by whomever
  for name in slot slot.dog slot.spare kept.started kept.child kept.why; do reserve $name.$$ || return 1; done
}
store_payload() { # Names carry our pid: concurrent launches of one ID cannot disturb each other.
  { say_raw "$spec"; } 2>/dev/null > spec.$$ && reserve_places && receive_script "script.$$$ext" || {
    rm -f ./*.$$ ./*.$$"$ext"
    fail NoEnoughSpace
  }
  problem=
  if [ "$got" -ne "$len" ]; then problem="got%20$got%20of%20$len"
  elif [ -n "$sha256" ] && command -v sha256sum >/dev/null; then
    set -- $(sha256sum < "script.$$$ext")
    [ "$1" = "$sha256" ] || problem=sha256
  fi
  if [ -n "$problem" ]; then rm -f ./*.$$ ./*.$$"$ext"; fail Truncated "$problem"; fi
}
start_supervisor() { # start_supervisor [systemd-run ...]: returns when it has ended, or wants us to go live
  # Its stdin is an anonymous pipe, to be the script's stdout: cheaper than a mkfifo.
  : | ( if [ $# -gt 0 ]; then exec "$@" $OWN_SHELL "$SELF" supervise "$ID" $$; else in_session $OWN_SHELL "$SELF" supervise "$ID" $$; fi ) >/dev/null 2>&1 &
  wait $!
}
launch() {
  settle
  facts
  case $state in
  absent|prepared) line "$facts more=1 out=0";;
  *) line "$facts out=0"; exit 0;;
  esac
  receive_spec
  make_places
  if ! [ -e started ]; then
    store_payload
    trap : USR1                          # "it takes longer: go live"
    case $SCOPE in
    # Where logind ends the processes of a session with it, the supervisor needs a scope of its own.
    system) start_supervisor systemd-run --quiet --scope --collect "--unit=ca-$ID" -p KillMode=process -p SendSIGKILL=no setsid;;
    user)   export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/run/user/$OWN_UID}"
            start_supervisor systemd-run --user --quiet --scope --collect "--unit=ca-$ID" -p KillMode=process -p SendSIGKILL=no setsid;;
    esac
    [ -e started ] || start_supervisor   # also after a refused scope: the commit point makes the second try harmless
    get started started && [ "${started##* }" != $$ ] && rm -f ./*.$$ ./*.$$"$ext"      # another one won
  fi
  settle
  case $state in
  done)           hand_over 0; await_ack;;
  running|orphan) ;;
  *)              fail NotStarted;;
  esac
}
send() { # send HEAD FROM TO: a frame with these bytes of a stream that has ended. Fails, with nothing said, if
  #        they are gone: somebody else has acknowledged the run just now
  [ "$2" -lt "$3" ] || { line "$1 out=0"; return; }
  wanted='' skip=0
  for segment in "$SPOOL"/[0-9]*; do
    [ -e "$segment" ] || return 1
    segment_start "$segment"
    [ "$start" -lt "$3" ] || break
    if [ "$start" -le "$2" ]; then wanted=$segment skip=$(($2 - start)); else wanted="$wanted $segment"; fi
  done
  if [ $skip -eq 0 ] && [ "$2" -eq 0 ] && [ "$3" -eq "$total" ] && [ -e end ] && [ "${wanted#* }" = "$wanted" ]
  then { line "$1 out=$3"; cat <&7; } 2>/dev/null 7< "$wanted"
  else
    line "$1 out=$(($3 - $2))"
    cat $wanted 2>/dev/null | tail -c +$((skip + 1)) | head -c $(($3 - $2))
  fi
}
pieces_until() { # pieces_until TO [last]: frames up to TO; with `last`, the final one carries the facts
  while :; do
    to=$1
    [ $((to - offset)) -le $MAX_FRAME ] || to=$((offset + MAX_FRAME))
    if [ -n "${2-}" ] && [ "$to" -eq "$1" ]; then
      send "$tag$facts from=$offset$gone$more" "$offset" "$to" || line "$tag$facts from=$1 gone=1$more out=0"
    else
      send "${tag}state=running from=$offset more=1" "$offset" "$to" || return 0
    fi
    offset=$to
    [ "$to" -lt "$1" ] || return 0
  done
}
hand_over() { # hand_over FROM: the state and what is kept from FROM on; the last frame says the state
  offset=$1
  facts
  if [ -z "$result_line" ]; then
    [ "$state" = absent ] || [ "$state" = prepared ] || hand_over_running
    line "$tag$facts from=$offset$more out=0"
    return
  fi
  total=0 dropped=0 head=0 tail=0 gone=
  for pair in $result_line; do
    case $pair in total=*|dropped=*|head=*|tail=*) eval "${pair%%=*}=\${pair#*=}";; esac
  done
  if [ "$total" -gt 0 ] && ! newest_segment; then gone=' gone=1' offset=$total; fi
  [ "$offset" -le "$total" ] || offset=$total
  if [ "$dropped" -gt 0 ]; then
    if [ "$offset" -lt "$head" ]; then pieces_until "$head"; fi
    [ "$offset" -ge $((total - tail)) ] || offset=$((total - tail))
  fi
  pieces_until "$total" last
}
await_ack() { # whoever has stored the end of the run says so on the same channel: that saves a call of `ack`
  { read -r pair && [ "$pair" = ack ]; } 2>/dev/null && [ "$state" = done ] || exit 0
  cd "$BASE"
  find_bulk
  exec rm -rf $bulk > /dev/null 2>&1
}
find_bulk() { bulk="$SPOOL $RUN/[!rs]* $RUN/s[!t]*"; }    # all but `result` and `started`, which a late launch must find (I8)

[ "$OPERATION" != launch ] || launch      # comes back only when it has to go live


# ------------------------------------------------------------ pauses

nap() { # nap SECONDS, less if a signal comes; not 0: this `sleep` takes no fractions
  sleep "$1" 2>/dev/null & napper=$!
  wait $napper; nap_status=$?
  if [ $nap_status -gt 128 ]; then kill -9 $napper 2>/dev/null; nap_status=0; fi
  napper=
  return $nap_status
}
doze() { sleep $NAP 2>/dev/null || sleep 1; }


# ------------------------------------------------------------ stopping a run

add_session() { # add_session PID: the living processes of that session -> known
  if command -v pgrep >/dev/null; then candidates=$(pgrep -s "$1")
  else candidates=; for dir in /proc/[0-9]*; do candidates="$candidates ${dir#/proc/}"; done; fi
  for pid in $candidates; do
    case $known in *" $pid "*) continue;; esac
    read_stat "$pid" && [ "$p_session" = "$1" ] && known="$known$pid "
  done
}
add_children() { # add_children: descendants of `known`, at any depth -> known
  queue=$known
  if [ -r "/proc/$$/task/$$/children" ]; then
    while [ -n "${queue# }" ]; do
      next=' '
      for parent in $queue; do
        for file in "/proc/$parent/task"/*/children; do
          { read -r row; } 2>/dev/null < "$file"
          for pid in $row; do case $known in *" $pid "*) ;; *) known="$known$pid " next="$next$pid ";; esac; done
          row=
        done
      done
      queue=$next
    done
    return
  fi
  table=''
  for dir in /proc/[0-9]*; do read_stat "${dir#/proc/}" && table="$table ${dir#/proc/}:$p_parent"; done
  grew=yes
  while [ -n "$grew" ]; do
    grew=
    for row in $table; do
      case $known in *" ${row%:*} "*) continue;; *" ${row#*:} "*) known="$known${row%:*} " grew=yes;; esac
    done
  done
}
add_marked() { # with sweep=1: after a double fork and setsid only the environment tells -> known
  mark="CA_RUN_ID=$ID"
  grep -z x /dev/null 2>/dev/null
  if [ $? -eq 1 ]; then marked=$(grep -lszxF "$mark" /proc/[0-9]*/environ)
  else                                   # an old busybox
    marked=
    for file in /proc/[0-9]*/environ; do
      { tr '\0' '\n' < "$file" | grep -qxF "$mark"; } 2>/dev/null && marked="$marked $file"
    done
  fi
  for file in $marked; do file=${file%/environ} known="$known${file#/proc/} "; done
}
find_members() { # -> members: the living processes that this mode stops
  known=' ' row='' leader_pid=${leader#* } leader_pid=${leader_pid%% *}
  if [ "$mode" = Process ]; then
    is_alive "$child" && known=" $p_pid "
  else
    is_alive "$leader" && known=" $p_pid " leader_seen=yes
    is_alive "$child" && case $known in *" $p_pid "*) ;; *) known="$known$p_pid ";; esac
    # a number cannot be given away while a session goes by it, unless that session has ended: then whoever
    # has the number now is not the leader that we knew
    [ -n "$leader_seen" ] && { ! read_stat "$leader_pid" || [ "$p_start" = "${leader##* }" ]; } && add_session "$leader_pid"
    add_children
    [ -z "$sweep" ] || add_marked
  fi
  members=
  for pid in $known; do
    read_stat "$pid" && [ "$p_state" != Z ] && [ "$p_state" != X ] && members="$members $pid"
  done
  [ -n "$members" ]
}
kill_run() { # kill_run [yes]: end the script (Process) or all of it (ProcessTree): SIGTERM and `grace`, SIGKILL; -> unkilled
  unkilled='' leader_seen=${1-}          # yes: the leader was our child, and has ended
  recall child || return 1
  get leader leader || leader=$child     # differs from child where runuser or su stays as a parent
  leader=${leader% }
  set -- $leader; leader="$1 $2 $3"
  if [ "$grace" -gt 0 ] && find_members; then
    create asked yes                       # first: the supervisor looks for it as soon as the script has ended
    kill -s TERM $members 2>/dev/null
    read_clock
    last_cs=$((now_cs + grace * 100))
    while find_members && [ "$now_cs" -lt $last_cs ]; do doze; read_clock; done
  fi
  round=0
  read_clock
  last_cs=$((now_cs + UNKILLABLE_CS))
  while [ "$now_cs" -lt $last_cs ] || [ $round -lt 10 ]; do    # a busy host may take seconds for a round
    find_members || return 0
    kill -9 $members 2>/dev/null
    round=$((round + 1))
    if [ $round -lt 20 ]; then doze; else sleep 0.5 2>/dev/null || sleep 1; fi
    read_clock
  done
  find_members || return 0
  unkilled=1                             # uninterruptible: the result is published anyway
}
give_reason() { # before the kill; the first one counts
  create why "$1" || [ -s why ] || keep why "$1"
}
stop() { # stop WHY [SLOT]: kill, then let the supervisor publish; if it is gone, or hangs, publish
  give_reason "$1"
  kill_run
  unknown=$? round=0 rounds=100
  [ $unknown -eq 0 ] || rounds=200       # won by a supervisor that has not started the script yet: it may still do so
  while ! [ -s result ]; do
    if [ -n "$unkilled" ] || ! is_alive "$started" || [ $round -ge $rounds ]; then
      recall why || why=$1
      publish_counted "${2:-slot.late.$$}" "result=$why" ${unkilled:+unkilled=1}
      return
    fi
    if [ -n "$ended" ]; then ended=; settle_output; fi       # we are the watchdog: something spared holds the output
    round=$((round + 1))
    doze
    [ $unknown -eq 0 ] || { kill_run; unknown=$?; }
  done
}


# ------------------------------------------------------------ supervisor and its two companions

collect() { # stdin -> segments: those that begin below `head` stay, of the others at least `tail` bytes
  total=0 ring='' emptied='' problem='' told_cs=$start_cs
  while :; do
    name=000000000000$total
    while [ ${#name} -gt 12 ]; do name=${name#?}; done
    read_clock
    if [ $((now_cs - told_cs)) -ge 100 ]; then             # followers wait at the end of the segment before
      told_cs=$now_cs
      { true > "$SPOOL/$name"; } 2>/dev/null && wake_followers
    fi
    { dd bs=$BLOCK count=$BLOCKS > "$SPOOL/$name"; } 2> "$SPOOL/dd" || problem=ENOSPC
    count='' records=0+0                                   # GNU dd may print a warning, busybox no bytes
    while read -r number words; do
      case $words in "records in"*) records=$number;; byte*) count=$number;; esac
    done 2>/dev/null < "$SPOOL/dd"
    case $problem:$count:$records in
    ::*+0)      count=$((${records%+*} * BLOCK));;
    ENOSPC*|::*) count=$(($(wc -c < "$SPOOL/$name")));;
    esac
    total=$((total + count))
    if [ -n "$problem" ]; then cat > /dev/null; break; fi                # the script neither blocks nor dies of it
    [ $((${records%+*} + ${records#*+})) -eq $BLOCKS ] || break          # fewer reads than allowed: end of file
    if [ -e result ] || [ -e "$SPOOL/drain" ]; then exec cat > /dev/null; fi     # a daemon kept our pipe: let it live
    [ $((total - count)) -lt "$head" ] || ring="$ring$name:$total "
    while oldest=${ring%% *}; [ -n "$oldest" ] && [ "${oldest#*:}" -le $((total - tail)) ]; do
      true > "$SPOOL/${oldest%:*}"                                          # frees the space without a process
      emptied="$emptied $SPOOL/${oldest%:*}" ring=${ring#* }
    done
    [ ${#emptied} -lt 2000 ] || { rm -f $emptied; emptied=; }
  done
  [ -z "$emptied" ] || rm -f $emptied
  { say "$total ${problem:--}" > end; } 2>/dev/null        # not in the spool, which may be full
  is_alive "$started" || settle_orphan
}
settle_orphan() { # the supervisor is gone and so is the last writer: nobody can learn the exit code any more
  recall why || why='lost code=SupervisorKilled'
  publish_counted "slot.pipe.$LAUNCHER" "result=$why"
}
watch() { # the timeout lives here, next to the script, on the monotonic clock (I6)
  napper='' ended=''
  trap '[ -z "$napper" ] || kill $napper; exit 0' TERM
  trap ended=yes USR1                    # the supervisor: "the script has ended, its output has not"
  nap 0.3 || nap 1                       # short runs end here
  announced=0 deadline_cs=$((start_cs + timeout * 100))
  while ! [ -s result ]; do
    if [ -n "$ended" ] || [ -s "$SPOOL/code" ]; then settle_output; return; fi
    read_clock
    if [ "$timeout" -gt 0 ] && [ "$now_cs" -ge "$deadline_cs" ]; then
      stop timeout "slot.dog.$LAUNCHER"
      return
    fi
    left_cs=360000
    [ "$timeout" -eq 0 ] || [ $((deadline_cs - now_cs)) -ge $left_cs ] || left_cs=$((deadline_cs - now_cs))
    # A signal can fall just before the launcher's `wait`: say it again until it is seen to stream.
    if [ $announced -lt 3 ] && ! [ -e "$SPOOL/live.$LAUNCHER" ] && is_alive "$launcher"; then
      announced=$((announced + 1))
      kill -s USR1 "$p_pid" 2>/dev/null
      [ $left_cs -le 100 ] || left_cs=100
    fi
    nap $((left_cs / 100)).$((left_cs % 100 / 10))$((left_cs % 10)) || nap $((left_cs / 100 + 1))
  done
}
settle_output() { # something holds the script's stdout: wait until nothing came for 0.3 s, at most 2 s
  quiet=0 total=-1 round=0 starved=0
  while [ $quiet -lt 3 ] && [ $round -lt 20 ] && ! [ -s result ]; do
    sleep 0.1 2>/dev/null || sleep 1
    before=$total
    measure_output
    # On a busy host the collector may not have had its turn: that is neither quiet nor chatty.
    if [ "$total" -eq "$before" ] && is_drained; then quiet=$((quiet + 1)) round=$((round + 1))
    elif [ "$total" -ne "$before" ]; then quiet=0 round=$((round + 1))
    else quiet=0 starved=$((starved + 1)); [ $starved -lt 300 ] || break; fi
  done
  is_alive "$started" && kill -s USR1 "$p_pid"
}
is_drained() { # the collector's dd sleeps: in its read, so the pipe is empty. Unknown counts as yes.
  [ -r "/proc/$collector/task/$collector/children" ] || return 0
  { read -r copier _; } 2>/dev/null < "/proc/$collector/task/$collector/children"
  [ -n "${copier-}" ] && read_stat "$copier" && [ "$p_state" = S ]
}
find_account() { # find_account NAME -> uid gid home login_shell. /etc/passwd by builtins, else whatever NSS knows
  case $1 in ''|*[!A-Za-z0-9._-]*|-*) return 1;; esac
  while IFS=: read -r name _ uid gid _ home login_shell; do
    [ "$name" != "$1" ] || return 0
  done 2>/dev/null < /etc/passwd
  login_shell=/bin/sh
  uid=$(id -u "$1" 2>/dev/null) && gid=$(id -g "$1" 2>/dev/null) || return 1
  eval "home=~$1"
  case $home in /*) ;; *) home=/;; esac
}
choose_interpreter() { # -> interpreter, argument: the shebang by hand. No exec bit, so noexec mounts work,
  tab='	'              #    and so "Text file busy" cannot happen
  IFS= read -r first < "$script" || :
  interpreter=/bin/sh argument=
  case $first in '#!'*)
    first=${first#'#!'} first=${first#"${first%%[! $tab]*}"}
    interpreter=${first%%[ $tab]*} argument=${first#"$interpreter"}
    argument=${argument#"${argument%%[! $tab]*}"} argument=${argument%"${argument##*[! $tab]}"}
    case $interpreter in */*) ;; *) interpreter=./$interpreter;; esac
  esac
}
refuse() { # refuse RESULT CODE: the script does not start
  publish "$slot" "result=$1 code=$2 total=0 dropped=0 head=$head tail=$tail start_cs=$start_cs oerr=-"
  return 1
}
start_script() { # -> child_pid, watchdog; writes `child` (what Process mode kills) and `leader` (the session)
  script=$RUN/script.$LAUNCHER$ext as='' inner=''
  account=${user:-$OWN_USER}
  find_account "$account" || { refuse invalid AccountNotExists; return; }
  if [ -z "$cwd" ]; then
    [ -d "$home" ] || { refuse invalid DefaultWorkingDirectoryNotAvailable; return; }
    cwd=$home
  fi
  [ -d "$cwd" ] || { refuse invalid DirectoryNotExists; return; }
  choose_interpreter
  if [ "$account" != "$OWN_USER" ]; then
    as=$SWITCH
    chown "$uid" "$script" && chmod 500 "$script"
  elif [ -n "$launcher_text" ]; then chmod 700 "$script"; fi
  if [ -n "$launcher_text" ]; then fill_launcher "$script"; set -- /bin/sh -c "$command"
  else set -- "$interpreter" ${argument:+"$argument"} "$script"; fi
  case $as in                            # runuser and su stay as parents: what they start reports its pid on fd 9
  '')      ;;
  setpriv) set -- setpriv "--reuid=$uid" "--regid=$gid" --init-groups "$@";;
  runuser) inner=yes; set -- runuser -u "$account" -- /bin/sh -c 'echo $$ >&9; exec "$@" 9>&-' ca "$@";;
  su)      inner=yes; set -- su -s /bin/sh -c 'echo $$ >&9; exec "$@" 9>&-' -- "$account" ca "$@";;
  *)       refuse error NoUserSwitch; return;;
  esac
  if recall why; then refuse "$why" NotStarted; return; fi   # whoever stops us looks for `child` after it has said why
  # `exec`, because a redirected function call keeps a saved copy of fd 4 and would never see the end of file
  ( exec <&3 3<&- 4>&-; collect ) & collector=$!
  ( umask 022
    [ -z "$oom" ] || { say "$oom" > /proc/self/oom_score_adj; } 2>/dev/null
    cd "$cwd" || exit 126
    [ -z "$inner" ] || exec 9> "$RUN/inner"
    in_session env -i PATH="$SCRIPT_PATH" HOME="$home" LANG="${LANG:-C}" USER="$account" LOGNAME="$account" \
      SHELL="${login_shell:-/bin/sh}" CA_RUN_ID="$ID" "$@"
  ) >&4 2>&1 3<&- 4>&- & child_pid=$!
  exec 3<&- 4>&-                         # from now on only the script holds the writing end
  watch & watchdog=$!                    # before `child` is there: who can be found has a watchdog
  identify $child_pid
  if [ -n "$inner" ]; then
    say "$identity" > leader
    round=0
    while [ $round -lt 100 ] && read_stat $child_pid && [ "$p_state" != Z ]; do
      get inner pid && identify "$pid" && break
      round=$((round + 1))
      doze
    done
  fi
  { say "$identity $start_cs" > child; } 2>/dev/null || keep child "$identity $start_cs" || :
  ! [ -s result ] || kill_run || :       # declared over before anybody could know of it
}
supervise() { # supervise LAUNCHER
  LAUNCHER=$1
  cd "$RUN" || exit 1
  identify $$ || exit 1
  me=$identity launcher=
  [ "$p_parent" = "$LAUNCHER" ] && identify "$LAUNCHER" && launcher=$identity    # now it is provably our parent
  load_spec "spec.$LAUNCHER"
  { true > "kept.started.$LAUNCHER"; } 2>/dev/null           # its room is for the next line
  create started "$me $LAUNCHER" || exit 0                   # <<< the one commit point (I1, I4)
  read_clock
  start_cs=$now_cs started=$me slot=slot.$LAUNCHER signal='' oom='' unkilled=''
  for name in TERM HUP INT; do trap "signal=$name" $name; done
  [ -e result ] && exit 0                                    # somebody declared us lost meanwhile
  if [ "$OWN_UID" -eq 0 ]; then
    get /proc/self/oom_score_adj oom                         # the script keeps the value that we came with
    { say -500 > /proc/self/oom_score_adj; } 2>/dev/null
  fi
  exec 3<&0 4> /proc/self/fd/0 < /dev/null                   # both ends of the pipe made by the launcher
  start_script || { forget_secret; exit 0; }

  wait $child_pid; code=$?
  if [ -n "$signal" ]; then                                  # the host is going down
    give_reason "signal-$signal"; mode=ProcessTree grace=0; kill_run
    wait $child_pid; code=$?
  fi
  forget_secret
  result=exited
  # 137 alone may be the script's own end just before the kill; with a grace it may end in its own way
  if [ $code -eq 137 ] || [ -e asked ]; then
    recall why && result=$why && kill_run yes                # its killer may have been killed half-way
  fi
  wait_for_output
  publish "$slot" "result=$result exit=$code total=$total dropped=$dropped head=$head tail=$tail start_cs=$start_cs oerr=$problem${unkilled:+ unkilled=1}"
  kill $watchdog 2>/dev/null
  exit 0
}
wait_for_output() { # -> total, dropped, problem. Normally the end of file comes with the end of the script.
  cut=
  trap cut=yes USR1
  read_clock
  # young: the watchdog looks for `code` after its first nap anyway
  { say $code > "$SPOOL/code"; } 2>/dev/null && [ $((now_cs - start_cs)) -lt $SETTLE_CS ] || kill -s USR1 $watchdog 2>/dev/null
  while [ -z "$cut" ]; do
    wait $collector
    [ $? -gt 128 ] || break              # else interrupted by a signal
  done
  count_output
}

[ "$OPERATION" != supervise ] || supervise "$3"


# ------------------------------------------------------------ streaming: by the launcher and by `follow`

stream() { # stream FROM: live output until the run has ended or the client has let go, then the end of it
  offset=$1 left='' tailer='' reader='' napper='' tail_at='' budget=0 failures=0
  load_spec "spec.${started##* }"
  chunk=$tail
  [ "$chunk" -ge 4096 ] || chunk=4096
  [ "$chunk" -le $MAX_FRAME ] || chunk=$MAX_FRAME
  trap hush USR1                         # "look again": there is a result, or a new segment
  trap 'left=yes; hush' TERM HUP INT PIPE
  identify $$
  me=$identity
  exec 6<&0
  # The end of the client's input is the end of the client.
  ( exec <&6 6<&-; while read -r _; do :; done; is_alive "$me" && kill -s TERM "$p_pid" ) >/dev/null 2>&1 & client=$!
  exec 6<&-
  pipe=$SPOOL/pipe.$$
  if ! { say "$me" > "$SPOOL/live.$$"; } 2>/dev/null || ! mkfifo "$pipe" 2>/dev/null; then pipe=; fi
  round=0
  while ! recall child && ! [ -s result ] && [ -z "$left" ] && [ $round -lt 100 ]; do round=$((round + 1)); nap $NAP || nap 1; done
  if ! [ -s result ] && recall child; then
    set -- $child
    line "state=running started=1 start_cs=${4-0} more=1 out=0" || left=yes
  fi
  while [ -z "$left" ] && ! [ -s result ]; do
    if ! newest_segment; then rest 1
    elif [ "$offset" -lt "$start" ]; then catch_up
    elif [ -n "$pipe" ]; then await_data
    else look_for_data; fi
  done
  stop_tail
  kill -9 $client 2>/dev/null
  rm -f "$SPOOL/live.$$" "$SPOOL/data.$$" "$SPOOL/reads.$$" "$SPOOL/pipe.$$"
  if [ -n "$left" ]; then
    line "state=running left=1 from=$offset out=0" 2>/dev/null
    exit 0
  fi
  settle
  hand_over "$offset"
}
hush() { # in a trap: whatever we wait for ends at once. These are children of ours that we have not waited for.
  # KILL, since a child that has just been forked still has our trap for TERM, and would take it to no effect.
  for process in $tailer $reader $napper; do kill -9 "$process" 2>/dev/null; done
}
rest() { [ -n "$left" ] || [ -s result ] || nap "$1" || nap 1; }
stop_tail() {
  [ -n "$tailer" ] || return 0
  kill -9 "$tailer" 2>/dev/null
  wait "$tailer" 2>/dev/null
  tailer='' tail_at=''
  exec 5<&-
}
await_data() { # blocks, without a wake-up, until the newest segment grows
  if [ "$tail_at" != "$segment" ]; then
    stop_tail
    [ -p "$pipe" ] || { pipe=; return; }
    exec 4<> "$pipe" 5< "$pipe"          # so that nothing blocks; from here on `tail` alone can write
    tail -c +$((offset - start + 1)) -f "$segment" >&4 2>/dev/null 4>&- 5<&- & tailer=$!
    exec 4>&-
    tail_at=$segment
    newest_segment && [ "$segment" = "$tail_at" ] || return 0
  fi
  dd bs="$chunk" count=1 <&5 2> "$SPOOL/reads.$$" > "$SPOOL/data.$$" & reader=$!
  if [ -n "$left" ] || [ -s result ]; then kill -9 $reader; fi
  wait $reader
  reader=
  [ -z "$left" ] && ! [ -s result ] || return 0
  count_copied
  if [ "$count" -eq 0 ]; then            # woken, or no tail
    stop_tail
    failures=$((failures + 1))
    [ $failures -lt 3 ] || rest 1
    return 0
  fi
  failures=0
  piece_frame || { left=yes; return 0; }
  if [ $((count * 2)) -lt "$chunk" ]; then rest 0.5; return; fi
  rest 1
  newest_segment || return 0
  [ "$tail_at" = "$segment" ] && [ "$offset" -ge "$head" ] || return 0
  measure_output                         # printing faster than we hand on: skip to the tail
  if [ $((total - offset)) -gt "$chunk" ] && [ $((total - offset)) -gt "$tail" ]; then
    offset=$((total - tail))
    stop_tail
  fi
}
count_copied() { # -> count, from what dd said. GNU may print a warning first, busybox no bytes.
  count='' records=0+0
  while read -r number words; do
    case $words in "records in"*) records=$number;; byte*) count=$number;; esac
  done 2>/dev/null < "$SPOOL/reads.$$"
  [ -n "$count" ] || case $records in 0+0) count=0;; *) count=$(($(wc -c < "$SPOOL/data.$$")));; esac
}
catch_up() { # newer segments exist: hand over older ones, at most `chunk` bytes a second
  if [ "$offset" -ge "$head" ] && [ $((start - offset)) -gt "$tail" ]; then
    offset=$((start - tail)); [ "$offset" -ge "$head" ] || offset=$head
  fi
  copy_piece "$offset" $((offset + chunk))
  if [ $count -gt 0 ]; then
    piece_frame || { left=yes; return 0; }
    budget=$((budget + count)) failures=0
    if [ $budget -ge "$chunk" ]; then budget=0; rest 1; fi
  else                                   # trimmed before we could read it
    [ -z "$next" ] || [ "$offset" -ge "$next" ] || offset=$next
    failures=$((failures + 1))
    if [ $failures -ge 3 ]; then failures=0; rest 1; fi
  fi
}
look_for_data() { # no mkfifo, or a full spool: one look a second
  copy_piece "$offset" $((offset + chunk))
  if [ "$count" -gt 0 ]; then piece_frame || { left=yes; return 0; }; fi
  rest 1
}
copy_piece() { # copy_piece FROM TO: -> count bytes at FROM in the file `data`, of one segment alone; -> next: where it ends
  next=
  for segment in "$SPOOL"/[0-9]*; do
    segment_start "$segment"
    if [ "$start" -le "$1" ]; then piece=$segment skip=$(($1 - start)); else next=$start; break; fi
  done
  want=$(($2 - $1))
  [ -z "$next" ] || [ $((next - $1)) -ge $want ] || want=$((next - $1))
  [ $want -le $MAX_FRAME ] || want=$MAX_FRAME
  tail -c +$((skip + 1)) "$piece" 2>/dev/null | head -c $want 2>/dev/null > "$SPOOL/data.$$"
  count=$(($(wc -c < "$SPOOL/data.$$")))
}
piece_frame() { # piece_frame: what is in `data`, at `offset`
  line "${tag}state=running from=$offset more=1 out=$count" && cat "$SPOOL/data.$$" && offset=$((offset + count))
}
hand_over_running() { # the output of a run that goes on: piece by piece, since the collector trims behind our back
  load_spec "spec.${started##* }"
  measure_output
  until=$total
  while [ "$offset" -lt "$until" ]; do
    if [ "$offset" -ge "$head" ] && [ $((until - offset)) -gt "$tail" ]; then
      offset=$((until - tail)); [ "$offset" -ge "$head" ] || offset=$head
    fi
    to=$until
    [ "$offset" -ge "$head" ] || [ "$head" -ge "$until" ] || [ $((until - head)) -le "$tail" ] || to=$head
    copy_piece "$offset" "$to"
    if [ $count -gt 0 ]; then piece_frame || return 0
    elif [ -n "$next" ]; then offset=$next
    else break; fi
  done
  rm -f "$SPOOL/data.$$"
}
follow() { # follow FROM
  settle
  facts
  case $state in
  absent|prepared) line "$facts out=0";;
  done)            line "$facts more=1 out=0"; hand_over "$1";;
  *)               line "$facts more=1 out=0"; stream "$1";;
  esac
  await_ack
}


# ------------------------------------------------------------ cancel, ack, gc, ping

cancel() {
  mkdir -m 711 "$RUN" 2>/dev/null
  cd "$RUN" 2>/dev/null || fail NoSpaceOrReadOnly
  identify $$
  if create started "$identity -"; then                      # a launch that comes later loses (I4)
    default_spec
    publish_counted "slot.late.$$" result=canceled code=NotStarted || fail NoSpaceOrReadOnly
  else
    [ -e started ] || fail NoSpaceOrReadOnly
    settle
    if [ "$state" = running ] || [ "$state" = orphan ]; then
      load_spec "spec.${started##* }"
      stop canceled
    fi
  fi
  settle
  facts
  line "$facts out=0"
}
ack() { # ack ID...
  answers='' doomed=''
  for name in "$@"; do
    find_run "$name"
    settle
    facts
    if [ "$state" = done ]; then
      facts="$facts acked=1"
      find_bulk
      doomed="$doomed $bulk"
    else facts="$facts acked=0"; fi
    answers="$answers$name $facts
"
  done
  cd "$BASE"
  [ -z "$doomed" ] || rm -rf $doomed
  while [ $# -gt 0 ]; do
    facts=${answers%%"
"*} answers=${answers#*"
"}
    shift
    more=' more=1'; [ $# -gt 0 ] || more=
    line "id=${facts%% *} ${facts#* }$more out=0"
  done
}
collect_runs() { # collect_runs ID FROM...
  while [ $# -gt 0 ]; do
    is_number "${2-}" || fail BadOperation
    find_run "$1"
    tag="id=$ID " offset=$2
    shift 2
    more=' more=1'; [ $# -gt 0 ] || more=
    settle
    hand_over "$offset"
  done
}
collect_garbage() { # collect_garbage DAYS: tombstones with an older result, uploads older than a day
  removed=0 stale=0 doomed=''
  age=-mtime; [ "$1" -gt 0 ] || age=
  for file in $(find "$BASE" -mindepth 2 -maxdepth 2 -name result ${age:+$age +$(($1 - 1))} -size +0 2>/dev/null); do
    file=${file%/result}
    removed=$((removed + 1)) doomed="$doomed $file $SPOOL_BASE/${file##*/}"
  done
  for file in $(find "$BASE" -mindepth 1 -maxdepth 1 -type d ! -name bin -mtime +0 2>/dev/null); do
    [ -e "$file/started" ] && continue
    cd "$file" && identify $$ && create started "$identity -" || continue        # fenced: no launch can begin in it now
    stale=$((stale + 1)) doomed="$doomed $file $SPOOL_BASE/${file##*/}"
  done
  cd "$BASE"
  [ -z "$doomed" ] || rm -rf $doomed
  line "removed=$removed stale=$stale out=0"
}
find_zone() { # -> zone: this host's, by name; else its distance from UTC, where that never changes; else nothing
  zone=$(readlink /etc/localtime 2>/dev/null)
  case $zone in */zoneinfo/*) zone=${zone##*/zoneinfo/} zone=${zone#posix/} zone=${zone#right/}; return;; esac
  ! get /etc/timezone zone || return
  while IFS== read -r name zone; do                          # Red Hat's, up to 6: ZONE="Area/City"
    [ "$name" != ZONE ] || { zone=${zone#?} zone=${zone%?}; return; }
  done 2>/dev/null < /etc/sysconfig/clock
  zone=${TZ-} zone=${zone#:}
  case $zone in */*) zone=${zone##*/zoneinfo/}; return;; esac
  rules=${zone:-UTC}                     # as in TZ=CST-8; with a second name the clock is put forward and back
  [ -n "$zone" ] || ! [ -e /etc/localtime ] || rules=$(tail -n 1 /etc/localtime 2>/dev/null)
  case $rules in UTC|GMT) ;; ''|TZif*|*[!0-9]|*[0-9][A-Za-z\<]*) zone=; return;; esac
  zone=$(date +%z)
  case $zone in
  ?0000) zone=UTC;;
  ?????) hours=${zone#?} hours=${hours%??}; zone=GMT${zone%????}${hours#0}:${zone#???};;
  esac
}
ping() {
  runs=0
  for file in "$BASE"/*/started; do
    [ -e "$file" ] && ! [ -e "${file%started}result" ] && runs=$((runs + 1))
  done
  version=${SELF##*/ca-}
  find_zone
  case $zone in *[!A-Za-z0-9_/:+-]*) zone=;; esac
  line "uid=$OWN_UID user=$OWN_USER version=${version%.sh} runs=$runs zone=$zone out=0"
}

case $OPERATION in
launch)    stream 0; await_ack;;
follow)    follow "$argument";;
status)    settle; facts; line "$facts out=0";;
output)    settle; hand_over "$argument";;
cancel)    cancel;;
collect)   shift 2; collect_runs "$@";;
ack)       shift 2; ack "$@";;
gc)        collect_garbage "$argument";;
ping)      ping;;
*)         fail BadOperation;;
esac
