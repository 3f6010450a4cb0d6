
finished=yes
if [ "$checking" = yes ]; then
  say "$due to do"
  [ "$due" -eq 0 ] || exit 1
else
  say "$changes done"
fi
