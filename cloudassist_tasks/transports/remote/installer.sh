# installer.sh NONCE LEN VERSION BASE SHELL: put the helper (LEN bytes on stdin) on this host, say what is here.
# Read from stdin by a bootstrap of one line, so that no login shell has to understand it.
umask 077
case ${PATH-} in */sbin*) ;; *) PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin;; esac
LC_ALL=C
export LC_ALL PATH
nonce=$1 len=$2 version=$3 base=$4 shell=$5 boot=none now=0
fail() {
  case ${2-} in *[!A-Za-z0-9._/@+-]*) set -- "$1" odd-characters;; esac
  echo "CA1 $nonce err=$1${2:+ detail=$2} boot=$boot now_cs=$now out=0"
  exit 74
}
[ "$(uname -s)" = Linux ] && [ -r /proc/self/stat ] || fail Unsupported "$(uname -s)"
read -r boot < /proc/sys/kernel/random/boot_id
read -r now _ < /proc/uptime
now=${now%.*}${now#*.}
uid=$(id -u) user=$(id -un)

is_ours() { # a directory, no link, ours, nobody else may write
  set -- $(ls -ldn "$1" 2>/dev/null)
  [ $# -gt 3 ] && [ "$3" = "$uid" ] && case $1 in d????-??-*) ;; *) return 1;; esac
}
use() { # use DIRECTORY: make it ours and put the helper there, or leave it
  case $1 in /*) ;; *) return 1;; esac
  case $1 in *[!A-Za-z0-9._/@+-]*) return 1;; esac
  { [ -d "$1" ] || (umask 022; mkdir -p "$1"); } 2>/dev/null
  is_ours "$1" && chmod 711 "$1" && mkdir -p "$1/bin" && is_ours "$1/bin" && : > "$1/bin/.new.$$" || return 1
  base=$1
} 2>/dev/null
if [ -n "$base" ]; then use "$base" || fail NoSpaceOrReadOnly "$base"
else
  home=${HOME:-/nonexistent}
  { [ "$uid" -eq 0 ] && use /var/lib/ca; } || use "$home/.ca" || use "/var/tmp/ca-$uid" || fail NoSpaceOrReadOnly
fi

file=$base/bin/ca-$version.sh new=$base/bin/.new.$$
trap 'rm -f "$new"' EXIT
head -c "$len" > "$new" 2>/dev/null || fail NoSpaceOrReadOnly "$base"
[ "$(($(wc -c < "$new")))" -eq "$len" ] || fail Truncated
if command -v sha256sum >/dev/null; then case $(sha256sum < "$new") in "$version"*) ;; *) fail Truncated sha256;; esac; fi

if [ -z "$shell" ]; then
  shell=/bin/sh
  if command -v dash >/dev/null; then shell=$(command -v dash)
  elif command -v busybox >/dev/null && busybox sh -c : 2>/dev/null; then shell="$(command -v busybox) sh"; fi
fi
sudo=no switch=none scope=none login=$uid
if [ "$uid" -eq 0 ]; then
  login=${SUDO_UID:-0}
  if setpriv --reuid=0 --regid=0 --clear-groups true 2>/dev/null; then switch=setpriv
  elif command -v runuser >/dev/null; then switch=runuser
  elif command -v su >/dev/null; then switch=su; fi
elif command -v sudo >/dev/null; then
  if sudo -n true </dev/null >/dev/null 2>&1; then sudo=yes
  elif sudo -n -l </dev/null 2>&1 | grep -q password; then sudo=password; fi
fi
# Where logind ends what a session leaves behind, runs need a scope of their own (not for root's logins).
if [ "$login" -ne 0 ] && [ -d /run/systemd/system ] && command -v systemd-run >/dev/null &&
   [ "$(busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager KillUserProcesses 2>/dev/null)" != "b false" ]
then
  if [ "$uid" -eq 0 ]; then scope=system; elif [ -e "/var/lib/systemd/linger/$user" ]; then scope=user; fi
fi
spool=$base/spool
while read -r _ place type _; do case $place:$type in /run:tmpfs|/dev/shm:tmpfs) eval "tmpfs_${place##*/}=yes";; esac; done < /proc/mounts
name=ca-$uid$(printf %s "$base" | tr / -)
if [ "$uid" -eq 0 ] && [ -n "${tmpfs_run-}" ]; then spool=/run/$name
elif [ -n "${tmpfs_shm-}" ]; then spool=/dev/shm/$name; fi
{ mkdir -p "$spool" && is_ours "$spool"; } 2>/dev/null || { spool=$base/spool; mkdir -p "$spool" 2>/dev/null; }

{ echo "$spool $uid $user $switch $scope $shell" > "$base/.conf.$$" && mv -f "$base/.conf.$$" "$base/conf" && mv -f "$new" "$file"; } 2>/dev/null ||
  { rm -f "$base/.conf.$$"; fail NoSpaceOrReadOnly "$base"; }

# The last three versions stay, and any that a live run uses.
kept=0
for old in $(ls -t "$base/bin"); do
  case $old in ca-*.sh) ;; *) continue;; esac
  kept=$((kept + 1))
  [ $kept -le 3 ] || grep -qsF "$base/bin/$old" /proc/[0-9]*/cmdline || rm -f "$base/bin/$old"
done
zone=
for word in $($shell "$file" ping < /dev/null 2>/dev/null); do case $word in zone=*) zone=${word#zone=};; esac; done
echo "CA1 $nonce base=$base path=$file shell=$(echo "$shell" | sed 's/ /%20/g') uid=$uid user=$user os=Linux version=$version sudo=$sudo switch=$switch spool=$spool zone=$zone boot=$boot now_cs=$now out=0"
