# SPDX-License-Identifier: BSD-2-Clause
#
# apt-entry.awk - find the machine's apt entry for a suite.
#
# In:  -v suite=NAME; apt source files, one-line (*.list) and deb822 (*.sources) alike.
# Out: for the first enabled binary entry that carries the suite, the lines "URIs: <uri>" and,
#      when the entry names its key, "Signed-By: <path or key block>". Nothing if none does.

function field_end()
{
	if (name != "") {
		value[name] = text
	}
	name = ""
	text = ""
}

function has_word(list, word,    parts, n, i)
{
	n = split(list, parts, /[ \t\n]+/)
	for (i = 1; i <= n; i++) {
		if (parts[i] == word) {
			return 1
		}
	}
	return 0
}

function report(uri, key)
{
	print "URIs: " uri
	if (key != "") {
		print "Signed-By: " key
	}
	found = 1
	exit
}

# A stanza is complete: is it the one?
function stanza_end(    uris)
{
	field_end()
	if (!found && value["enabled"] != "no" && has_word(value["types"], "deb") &&
	    has_word(value["suites"], suite)) {
		split(value["uris"], uris, /[ \t\n]+/)
		report(uris[1], value["signed-by"])
	}
	split("", value)
}

FNR == 1 { stanza_end() }

/^[ \t]*#/ { next }

# One line: deb [options] uri suite components...
/^deb[ \t]/ {
	key = ""
	line = $0
	if (match(line, /\[[^]]*\]/)) {
		options = substr(line, RSTART + 1, RLENGTH - 2)
		line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
		n = split(options, option, /[ \t]+/)
		for (i = 1; i <= n; i++) {
			if (option[i] ~ /^signed-by=/) {
				key = substr(option[i], 11)
			}
		}
	}
	split(line, word, /[ \t]+/)
	if (word[3] == suite) {
		report(word[2], key)
	}
	next
}

/^[ \t]*$/ { stanza_end(); next }

# A continuation line keeps its place: a key block is given back as it was written.
/^[ \t]/ { text = text "\n" $0; next }

/^[A-Za-z-]+:/ {
	field_end()
	name = tolower(substr($0, 1, index($0, ":") - 1))
	text = substr($0, index($0, ":") + 1)
	gsub(/^[ \t]+|[ \t]+$/, "", text)
}

END { if (!found) stanza_end() }
