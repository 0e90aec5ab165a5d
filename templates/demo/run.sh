# Runs the functions test_… of tests/*_test.sh and writes reports/junit.xml, and reports/lcov.info with the lines of
# greet.sh that were reached. POSIX shell only.
mkdir -p reports
reached=$PWD/reports/reached.tmp
: >"$reached"
# Each command that prints notes its line first.
awk -v reached="$reached" '/^ +printf / { printf "echo %d >>\"%s\";", NR, reached } { print }' greet.sh >reports/traced.tmp
. ./reports/traced.tmp

assert_equal() {
  if [ "$1" != "$2" ]; then
    printf 'expected "%s", got "%s"\n' "$1" "$2"
    return 1
  fi
}

escape() {
  sed -e 's/&/\&amp;/g' -e 's/</\&lt;/g' -e 's/>/\&gt;/g' -e 's/"/\&quot;/g'
}

cases=reports/cases.tmp
: >"$cases"
status=0
for file in tests/*_test.sh; do
  . "./$file"
  for name in $(sed -n 's/^\(test_[a-z0-9_]*\)() {$/\1/p' "$file"); do
    # The assertion stands in the line after the function's head.
    line=$(($(sed -n "/^$name() {\$/=" "$file") + 1))
    if message=$("$name" 2>&1); then
      printf '\033[32mok\033[0m      %s\n' "$name"
      printf '<testcase classname="%s" name="%s" file="%s" line="%s"/>\n' \
        "$file" "$name" "$file" "$line" >>"$cases"
    else
      status=1
      printf '\033[1;31mFAILED\033[0m  %s: \033[31m%s\033[0m\n' "$name" "$message"
      printf '<testcase classname="%s" name="%s" file="%s" line="%s"><failure message="%s">%s:%s: %s</failure></testcase>\n' \
        "$file" "$name" "$file" "$line" "$(printf '%s' "$message" | escape)" \
        "$file" "$line" "$(printf '%s' "$message" | escape)" >>"$cases"
    fi
  done
  for name in $(sed -n 's/^\(skip_[a-z0-9_]*\)() {$/\1/p' "$file"); do
    reason=$(sed -n "/^$name() {\$/{n;s/^ *: \"\(.*\)\"\$/\1/p;}" "$file")
    printf '\033[33mskipped\033[0m %s: %s\n' "$name" "$reason"
    printf '<testcase classname="%s" name="%s" file="%s"><skipped message="%s"/></testcase>\n' \
      "$file" "$name" "$file" "$(printf '%s' "$reason" | escape)" >>"$cases"
  done
done
{
  echo '<?xml version="1.0" encoding="UTF-8"?>'
  echo '<testsuite name="greet">'
  cat "$cases"
  echo '</testsuite>'
} >reports/junit.xml
{
  echo SF:greet.sh
  sed -n '/^ *printf /=' greet.sh | while read -r line; do
    echo "DA:$line,$(grep -c "^$line\$" "$reached")"
  done
  echo end_of_record
} >reports/lcov.info
rm -f "$cases" "$reached" reports/traced.tmp
exit $status
