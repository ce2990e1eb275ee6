# Puts one file in its place on this host: all of it or nothing, and never through a link.
#
# file_program.py writes the variables in front of this text (skip size sha256 cksum dir name owner group mode
# overwrite temp) and the content behind it. What went wrong is said on standard output; the exit codes are a
# table in domain/file.py.
#
# The file is made in a private directory inside the target directory, and from there on every step is relative
# to that directory or its parent. Whoever may write to the target directory can therefore swap neither, nor
# see the file before it has its owner and mode.
# dash, bash, busybox ash; GNU tools of any age, or busybox.

set -u
umask 022
LC_ALL=C
export LC_ALL
CREATE=81 EXISTS=82 CONTENT=83 NAME=84 WHERE=85 AUTHORITY=86 GROUP=87 ACCOUNT=88
place=$dir/$name
case $dir in */) place=$dir$name;; esac
inside=''

fail() { # fail EXIT REASON
  printf '%s\n' "$2"
  exit "$1"
}
fail_as() { # fail_as SAID STEP: by what a tool has said
  case $1 in
  *'File name too long'*) fail $NAME "$place: the name is too long for the instance's file system; shorten it";;
  *'No space left'*|*'uota exceeded'*) fail $CREATE "no space for $place (${1##*: }); make room and send it again";;
  *) fail $CREATE "$2: ${1##*: }; see the directory's rights and its file system, or choose another one";;
  esac
}
clean() {
  [ -z "$inside" ] || { rm -f ./content; cd .. && rmdir "./$work"; } 2>/dev/null
}
trap clean 0
trap 'exit 129' 1
trap 'exit 130' 2
trap 'exit 143' 15

check_names() { # both tools look at the name before they look for the file
  [ -z "$owner" ] || case $(chown "$owner" /dev/null/none 2>&1) in
  *'nvalid user'*|*'unknown user'*) fail $ACCOUNT "there is no user $owner on the instance; create it or choose another FileOwner";;
  esac
  [ -z "$group" ] || case $(chgrp "$group" /dev/null/none 2>&1) in
  *'nvalid group'*|*'unknown group'*) fail $GROUP "there is no group $group on the instance; create it or choose another FileGroup";;
  esac
}
enter() { # the target directory, then a private one inside it
  made=''
  [ -d "$dir" ] || made=yes
  said=$(mkdir -p "$dir" 2>&1) || case $said in
  *'ot a directory'*|*'File exists'*|*'No such file'*|*'name too long'*|*'Too many levels'*)
    fail $WHERE "TargetDir $dir cannot be: ${said##*: }; choose another";;
  *) fail_as "$said" "$dir cannot be made";;
  esac
  cd -P "$dir" 2>/dev/null || fail $CREATE "$dir cannot be entered by $(id -un); choose another TargetDir, or give it the right"
  here=$PWD work=$temp$$
  said=$(mkdir -m 700 "./$work" 2>&1) || fail_as "$said" "nothing can be written to $dir"
  cd -P "./$work" 2>/dev/null && [ "$PWD" = "${here%/}/$work" ] && [ -O . ] || {
    cd "$here" && rmdir "./$work" 2>/dev/null
    fail $CREATE "somebody changes $dir meanwhile; send it again, to a directory that others cannot write to"
  }
  inside=yes
}
fill() { # fd 7: the new file
  said=$(tail -c "+$skip" "$0" 2>&1 >&7) || fail_as "$said" "$place cannot be written"
  set -- $(wc -c < content)
  [ "$1" = "$size" ] || fail $CONTENT "$1 of the $size bytes of $place have arrived; send it again"
  if command -v sha256sum >/dev/null; then
    set -- $(sha256sum < content)
    [ "$1" = "$sha256" ] || fail $CONTENT "the SHA-256 of $place is not that of what was sent; send it again"
  elif command -v cksum >/dev/null; then
    set -- $(cksum < content)
    [ "$1" = "$cksum" ] || fail $CONTENT "the checksum of $place is not that of what was sent; send it again"
  fi
}
hand_over_to_owner() {
  if [ "$(id -u)" -eq 0 ]; then owner=${owner:-0} group=${group:-0}; fi
  [ -z "$group" ] || said=$(chgrp "$group" content 2>&1) || fail $AUTHORITY "$(id -un) may not give $place to the group $group (${said##*: }); leave FileGroup out, or let the instance's login be root"
  [ -z "$owner" ] || said=$(chown "$owner" content 2>&1) || fail $AUTHORITY "$(id -un) may not give $place to the user $owner (${said##*: }); leave FileOwner out, or let the instance's login be root"
  said=$(chmod "$mode" content 2>&1) || fail $AUTHORITY "$place cannot have the mode $mode: ${said##*: }; choose another FileMode"
}
flush() { # an old dd does not know fsync
  said=$(dd if=/dev/null conv=fsync 2>&1 >&7) || case $said in
  *onversion*|*nrecognized*|*sage:*) sync;;
  *) fail_as "$said" "$place cannot be written";;
  esac
}
knows_no_T() { case $said in *'nvalid option'*|*'nrecognized option'*|*'sage:'*) ;; *) return 1;; esac; }
add() { # only where nothing is: link() never replaces and never follows
  said=$(ln -T content "../$name" 2>&1) && return
  if knows_no_T && said=$(command -v link); then
    said=$(link content "../$name" 2>&1) && return
  elif knows_no_T && ! [ -d "../$name" ]; then
    said=$(ln content "../$name" 2>&1) && [ "../$name" -ef content ] && return
  fi
  if [ -e "../$name" ] || [ -L "../$name" ]; then
    fail $EXISTS "$place exists; send it with Overwrite to replace it"
  fi
  case $said in *'ot permitted'*|*'ot supported'*|*'ot implemented'*)
    fail $CREATE "the file system of $dir has no hard links, without which an existing file cannot be spared; send it with Overwrite";;
  esac
  fail_as "$said" "$place cannot be made"
}
replace() { # rename(): a link is replaced, not followed
  if [ -L "../$name" ]; then :
  elif [ -d "../$name" ]; then fail $CREATE "$place is a directory; choose another Name, or remove it"
  elif [ -e "../$name" ] && ! [ -f "../$name" ]; then fail $CREATE "$place is no regular file; choose another Name, or remove it"
  fi
  said=$(mv -f -T content "../$name" 2>&1) && return
  if [ -L "../$name" ] && [ -d "../$name" ]; then rm -f "../$name"; fi      # busybox refuses such a link
  if knows_no_T; then said=$(mv -f content "../$name" 2>&1) && [ -f "../$name" ] && return
  else said=$(mv -f -T content "../$name" 2>&1) && return; fi
  [ -L "../$name" ] || ! [ -d "../$name" ] || fail $CREATE "$place is a directory; choose another Name, or remove it"
  fail_as "$said" "$place cannot be replaced"
}
flush_directories() { # an old sync takes no names and flushes everything
  set -- ..
  if [ -n "$made" ]; then
    above=${here%/}
    while [ -n "$above" ]; do above=${above%/*}; set -- "$@" "$above/"; done
  fi
  sync "$@" >/dev/null 2>&1 || sync
}

check_names
enter
set -C
{ fill; hand_over_to_owner; flush; } 7> content || fail $CREATE "$place cannot be written; see the directory's file system"
case $overwrite in true) replace;; *) add;; esac
flush_directories
printf '%s: %s bytes\n' "$place" "$size"
exit 0
