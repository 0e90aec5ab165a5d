# greet NAME: says hello.
greet() {
  printf 'Hello, %s!\n' "$1"
}

# shout TEXT: says it louder.
shout() {
  printf '%s\n' "$1" | tr '[:lower:]' '[:upper:]'
}
