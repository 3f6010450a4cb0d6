set -eu
LC_ALL=C
export LC_ALL

checking=no restarting=yes only='' changes=0 due=0 finished=no known=no follows=''

usage() {
  finished=yes
  cat <<USAGE
usage: $0 [--check] [--no-restart] [--only STEP]

Prepares this machine for enclaves, step by step. Each says what it will do before it does it, and does nothing where nothing is to be done.

  --check       change nothing; exit code 1 where a step would change something
  --no-restart  restart no service; say which ones are to be restarted
  --only STEP   this step alone, by its name

Exit code 0 prepared, or nothing to do, 1 something would be done, 2 wrongly called, 3 a step failed.
USAGE
}

while [ $# -gt 0 ]; do
  case $1 in
    --check) checking=yes ;;
    --no-restart) restarting=no ;;
    --only) [ $# -gt 1 ] || { usage >&2; exit 2; }; only=$2; shift ;;
    --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

say() { printf '%s\n' "$*"; }
fail() { finished=yes; printf 'failed: %s\n' "$*" >&2; exit 3; }

if [ "$checking" = no ] && [ "$(id -u)" -ne 0 ]; then
  fail 'changing this machine needs root; --check does not'
fi

# step NAME KIND THEN WHAT WHY ARGUMENTS…: unless is_KIND ARGUMENTS says that it is so already, do_KIND ARGUMENTS, then THEN.
step() {
  name=$1 kind=$2 then=$3 what=$4 why=$5
  shift 5
  [ -z "$only" ] || [ "$only" = "$name" ] || return 0
  known=yes
  if "is_$kind" "$@"; then
    say "ok      $name: $what"
    return 0
  fi
  if [ "$checking" = yes ]; then
    say "would   $name: $what"
    say "        $why"
    due=$((due + 1))
    return 0
  fi
  say "doing   $name: $what"
  say "        $why"
  # Not in a condition: there the shell would go on after a command that fails.
  "do_$kind" "$@"
  "is_$kind" "$@" || fail "$name: done, and yet it is not so"
  changes=$((changes + 1))
  follows=', which is done; what is to follow it failed, and is yours to do: the next call will not'
  "then_$then"
  follows=''
}

look() { [ -n "$only" ] || { say "look    $1"; say "        $2"; }; }

trap '[ "$finished" = yes ] || { printf "failed: step %s%s\n" "${name:-none yet}" "$follows" >&2; exit 3; }' EXIT

# --- what a step's kind means: is_KIND says whether it is so, do_KIND makes it so -------------------------------------------------

is_group() { getent group "$1" >/dev/null; }
do_group() { groupadd --system "$1"; }

# Of a user that is not there nothing is to be done.
is_member() {
  id "$1" >/dev/null 2>&1 || return 0
  case " $(id -nG "$1") " in *" $2 "*) ;; *) return 1 ;; esac
}
do_member() { usermod --append --groups "$2" "$1"; }

is_file() { [ -f "$1" ] && [ ! -L "$1" ] && [ "$(cat "$1"; echo .)" = "$2." ]; }
do_file() {
  mkdir -p "$(dirname "$1")"
  write "$1" "$2"
}

is_settings() { is_file "$1" "$2"; }
do_settings() {
  if [ -f "$1" ] && [ ! -e "$1.before-donjon" ]; then
    keep "$1"
    say "        what was there is kept as $1.before-donjon"
  fi
  do_file "$1" "$2"
}

# What is there beside it, whole or not at all: a part would be taken for the whole the next time.
keep() {
  [ ! -e "$1.before-donjon" ] || return 0
  like "$1"
  mv -f "$fresh" "$1.before-donjon"
}
# A copy under another name, with its owner and mode: some files have passwords in them.
like() {
  fresh=$(mktemp "$(dirname "$1")/.donjon.XXXXXX")
  cp -p "$1" "$fresh"
}

# A file that is there whole or not at all, for all to read.
write() {
  fresh=$(mktemp "$(dirname "$1")/.donjon.XXXXXX")
  printf '%s' "$2" >"$fresh"
  chmod 0644 "$fresh"
  mv -f "$fresh" "$1"
}

# A device that is not there is its driver's business; one that more may open than this group stays as it is.
is_device() {
  [ -c "$1" ] || return 0
  case $(stat -L -c %a "$1") in
    *[67]) return 0 ;;
    *[67]?) [ "$(stat -L -c %G "$1")" = "$2" ] ;;
    *) return 1 ;;
  esac
}
do_device() {
  chgrp "$2" "$1"
  chmod 0660 "$1"
}

is_executable() {
  awk -v place="$1" '$2 == place { options = "," $4 "," } END { exit options ~ /,noexec,/ }' /proc/mounts
}
do_executable() { mount -o remount,exec "$1"; }

is_without_option() { ! grep -Eqs "^GRUB_CMDLINE_LINUX.*[\"' ]$1([\"' ]|\$)" /etc/default/grub /etc/default/grub.d/*.cfg; }
do_without_option() {
  for file in /etc/default/grub /etc/default/grub.d/*.cfg; do
    [ -f "$file" ] || continue
    like "$file"
    sed -E "/^GRUB_CMDLINE_LINUX/s/(^|[\"' ])$1([\"' ]|\$)/\\1\\2/g" "$file" >"$fresh"
    if cmp -s "$file" "$fresh"; then
      rm -f "$fresh"
    else
      changed=$fresh
      keep "$file"
      mv -f "$changed" "$file"
    fi
  done
}

is_packages() {
  for package in "$@"; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || return 1
  done
}
do_packages() {
  command -v apt-get >/dev/null || fail "packages are installed by apt-get, which is not here: install $*"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends -qq -o Dpkg::Options::=--force-confold "$@"
}

# source URI SUITE FINGERPRINT: the key is fetched from where the source is, and taken if it is the one with that fingerprint.
KEY=/etc/apt/keyrings/donjon-intel-sgx.asc
LIST=/etc/apt/sources.list.d/donjon-intel-sgx.sources
entry() {
  suite=$2
  if [ -z "$suite" ]; then
    suite=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  fi
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nArchitectures: amd64\nSigned-By: %s\n' "$1" "$suite" "$KEY"
}
is_source() { [ -s "$KEY" ] && is_file "$LIST" "$(entry "$1" "$2")
"; }
do_source() {
  command -v gpg >/dev/null || do_packages gpg
  place=$(mktemp -d)
  mkdir -m 700 "$place/gpg" "$place/apt"
  chmod 711 "$place"
  chown _apt "$place/apt" 2>/dev/null || true # apt's own user fetches it, and changes nothing once it is here
  /usr/lib/apt/apt-helper -qq download-file "$1/intel-sgx-deb.key" "$place/apt/key"
  cp "$place/apt/key" "$place/key"
  keys=$(gpg --homedir "$place/gpg" --batch --no-options --quiet --with-colons --show-keys "$place/key" |
    awk -F: '$1 == "pub" { key = 1 } $1 == "fpr" && key { print $10; key = 0 }')
  if [ "$keys" != "$3" ]; then
    rm -rf "$place"
    fail "the key at $1/intel-sgx-deb.key has the fingerprint $keys, expected $3: nothing was taken from there"
  fi
  do_file "$KEY" "$(cat "$place/key")
"
  rm -rf "$place"
  do_file "$LIST" "$(entry "$1" "$2")
"
}

# containerd: which table has the option depends on the version of the file (docs/cri/config.md of containerd).
table() {
  case $(sed -n -e '/^[[:space:]]*\[/q' -e 's/^[[:space:]]*version[[:space:]]*=[[:space:]]*\([0-9]*\).*/\1/p' "$1" | head -n 1) in
    3 | 4) echo io.containerd.cri.v1.runtime ;;
    2) echo io.containerd.grpc.v1.cri ;;
    *) echo cri ;;
  esac
}
# The file with the option set, on standard output; its code says whether it was set already.
OWNERSHIP='
  function heading(line) { sub(/#.*/, "", line); gsub(/["\047 \t\r]/, "", line); return line }
  /^[ \t]*\[/ {
    if (inside && !seen) { print option; seen = 1 }
    inside = heading($0) == "[plugins." table "]"
  }
  inside && /^[ \t]*device_ownership_from_security_context[ \t]*=/ {
    seen = 1
    if ($0 ~ /^[^=]*=[ \t]*true/) already = 1
    else sub(/=[ \t]*[a-z]+/, "= true")
  }
  { print }
  END {
    if (inside && !seen) { print option; seen = 1 }
    if (!seen) printf "\n[plugins.\"%s\"]\n%s\n", table, option
    exit !already
  }'
ownership() {
  awk -v table="$(table "$1")" -v option='    device_ownership_from_security_context = true' "$OWNERSHIP" "$1"
}
is_containerd() { [ -f "$1" ] && ownership "$1" >/dev/null; }
do_containerd() {
  if [ ! -e "$1" ]; then
    do_file "$1" 'version = 2
'
  fi
  if sed 's/^[[:space:]]*#.*//' "$1" | tr '\n' ' ' | grep -Eq 'disabled_plugins[[:space:]]*=[[:space:]]*\[[^]]*cri'; then
    fail "$1: the plugin that serves kubelets is off (disabled_plugins), as in Docker's package; take it out of there first"
  fi
  set_in=$(ownership "$1") || true
  keep "$1"
  like "$1"
  printf '%s\n' "$set_in" >"$fresh"
  if ! refused=$(refusal "$1" "$fresh"); then
    rm -f "$fresh"
    fail "$1: $refused, so it is as it was"
  fi
  mv -f "$fresh" "$1"
}
# Why the second file, made of the first, is not to be containerd's, asked before it is.
refusal() {
  if ! command -v containerd >/dev/null; then
    grep -Eq "\"\"\"|'''|^[[:space:]]*[\"']?plugins[\"']?[[:space:]]*[.=]|^[[:space:]]*[\"'][^\"']*[\"'][[:space:]]*[.=]" "$1" || return 0
    echo 'it is written in a form that is not followed here, and there is no containerd to ask'
  elif ! told=$(containerd --config "$2" config dump 2>&1 >/dev/null); then
    printf 'containerd does not take it with the option set: %s' "$(printf '%s\n' "$told" | head -n 1)"
  elif [ "$(table "$2")" != cri ] && containerd --config "$2" config dump 2>/dev/null | grep -q 'device_ownership_from_security_context = false'; then
    echo 'containerd reads the option as false all the same, from a file that it imports or in a form that is not followed here'
  else
    return 0
  fi
  return 1
}

# driver NAME VERSION: its source in /usr/src/NAME-VERSION, built and kept for each kernel by dkms.
is_driver() { command -v dkms >/dev/null && dkms status -m "$1" -v "$2" -k "$(uname -r)" | grep -q installed; }
do_driver() {
  [ -f "/usr/src/$1-$2/dkms.conf" ] || fail "/usr/src/$1-$2/dkms.conf is not there: put the driver's source in that folder first"
  is_packages dkms "linux-headers-$(uname -r)" || do_packages dkms "linux-headers-$(uname -r)"
  dkms install -m "$1" -v "$2" -k "$(uname -r)"
}

# --- what follows a change --------------------------------------------------------------------------------------------------------

restart() {
  if [ "$restarting" = no ] || [ ! -d /run/systemd/system ]; then
    say "        not restarted: $*; what was changed counts from its next start"
  else
    systemctl try-restart "$@"
  fi
}
then_nothing() { :; }
then_udev() {
  if [ -S /run/udev/control ]; then
    udevadm control --reload
    udevadm trigger --action=change --subsystem-match=misc --sysname-match='sgx_*' --sysname-match=enclave --sysname-match=provision
    udevadm settle --timeout=30
  else
    say '        udev does not run here: its rules count from its next start'
  fi
}
then_containerd() { restart containerd.service; }
then_crio() { restart crio.service; }
then_k3s() { restart k3s.service k3s-agent.service; }
then_aesm() { restart aesmd.service; }
then_authorities() { update-ca-certificates >/dev/null; restart aesmd.service; }
then_grub() {
  if command -v update-grub >/dev/null; then update-grub; else say '        update-grub is not here: write the boot loader anew by its own tool'; fi
  say '        it counts from the next start of the machine'
}
then_enable() {
  if command -v systemctl >/dev/null; then systemctl enable donjon-dev-exec.service; fi
}
then_load() { modprobe intel_sgx || say '        the module cannot be loaded here; dmesg says why'; }

# --- the steps --------------------------------------------------------------------------------------------------------------------

