
finished=yes
if [ -n "$only" ] && [ "$known" = no ]; then
  printf 'there is no step %s here\n' "$only" >&2
  exit 2
fi
if [ "$checking" = yes ]; then
  say "$due to do"
  [ "$due" -eq 0 ] || exit 1
else
  say "$changes done"
fi
