# fish completion for kwatch(1).

function __kwatch_own_line -d "not after --"
    not contains -- -- (commandline -opc)
end

function __kwatch_kinds -d "a list: what is before the last comma stays"
    set -l before (string replace -rf '(.*,).*' '$1' -- (commandline -ct | string replace -r '^--kinds=' ''))
    printf '%s\n' "$before"{all,created,deleted,modified,replaced,attrib,moved,rescanned,root-gone,root-back,ready,unmounted,degraded,error}
end

function __kwatch_command -d "what the line after -- goes on with"
    set -l words (commandline -opc)
    set -l end (contains -i -- -- $words)
    set -e words[1..$end]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end

complete -c kwatch -n 'not __kwatch_own_line' -x -a '(__kwatch_command)'

complete -c kwatch -n __kwatch_own_line -s R -l no-recursive -d 'Only PATH and its direct entries'
complete -c kwatch -n __kwatch_own_line -l depth -x -d 'No more than N levels below PATH'
complete -c kwatch -n __kwatch_own_line -s e -l exclude -x -d 'Not what matches'
complete -c kwatch -n __kwatch_own_line -s i -l include -x -d 'Of files only what matches'
complete -c kwatch -n __kwatch_own_line -s g -l gitignore -d 'Not what .gitignore files exclude'
complete -c kwatch -n __kwatch_own_line -l no-hidden -d 'No names that begin with a dot'
complete -c kwatch -n __kwatch_own_line -s d -l dirs-only -d 'Only directories'
complete -c kwatch -n __kwatch_own_line -s x -l one-file-system -d 'Stay in the file system of PATH'
complete -c kwatch -n __kwatch_own_line -s w -l wait -d 'PATH need not exist yet'
complete -c kwatch -n __kwatch_own_line -s k -l kinds -x -a '(__kwatch_kinds)' -d 'These kinds of events only'
complete -c kwatch -n __kwatch_own_line -l initial -d 'Begin with what is there, as created'
complete -c kwatch -n __kwatch_own_line -l expand-moves -d 'With a directory that moves all that is in it'
complete -c kwatch -n __kwatch_own_line -l dir-modified -d 'Directories whose entries changed as modified'
complete -c kwatch -n __kwatch_own_line -s s -l settle -x -d 'When nothing has happened for so long'
complete -c kwatch -n __kwatch_own_line -l settle-max -x -d 'But at the latest after this'
complete -c kwatch -n __kwatch_own_line -l since -r -d 'Begin with what has changed since FILE was saved'
complete -c kwatch -n __kwatch_own_line -l save -r -d 'Save the state of PATH at the end'
complete -c kwatch -n __kwatch_own_line -s 1 -l once -d 'End after the first changes, or the run that they lead to'
complete -c kwatch -n __kwatch_own_line -s t -l timeout -x -d 'End when nothing has changed for so long'
complete -c kwatch -n __kwatch_own_line -s j -l json -d 'A JSON object a line'
complete -c kwatch -n __kwatch_own_line -s f -l format -x -d 'STRING for each event'
complete -c kwatch -n __kwatch_own_line -s 0 -l print0 -d 'Paths alone, a NUL after each'
complete -c kwatch -n __kwatch_own_line -l color -f -a 'always never auto' -d 'When to use colors'
complete -c kwatch -n __kwatch_own_line -l stats -d 'Statistics at the end'
complete -c kwatch -n __kwatch_own_line -s q -l quiet -d 'Nothing but events and errors'
complete -c kwatch -n __kwatch_own_line -s v -l verbose -d 'What is watched and run, on standard error'
complete -c kwatch -n __kwatch_own_line -s r -l restart -d 'End the command when something changes, and run it anew'
complete -c kwatch -n __kwatch_own_line -l signal -x -a 'HUP INT QUIT TERM USR1 USR2 KILL' -d 'What ends the command'
complete -c kwatch -n __kwatch_own_line -l kill-after -x -d 'How long the command may take to end'
complete -c kwatch -n __kwatch_own_line -s n -l no-initial-run -d 'No run before something has changed'
complete -c kwatch -n __kwatch_own_line -s c -l clear -d 'Clear the screen before each run'
complete -c kwatch -n __kwatch_own_line -s p -l print -d 'Print the events, too'
complete -c kwatch -n __kwatch_own_line -l poll -d 'Watch by looking from time to time only'
complete -c kwatch -n __kwatch_own_line -l poll-interval -x -d 'How often to look at what has no kernel watch'
complete -c kwatch -n __kwatch_own_line -l sync-all -d 'Find what no kernel tells of, too'
complete -c kwatch -n __kwatch_own_line -l sync-interval -x -d 'How often to look at everything'
complete -c kwatch -n __kwatch_own_line -l threads -x -d 'How many take part in a large crawl'
complete -c kwatch -n __kwatch_own_line -l watch-limit -x -d 'Take no more than N kernel watches'
complete -c kwatch -n __kwatch_own_line -s h -l help -d 'What the options are'
complete -c kwatch -n __kwatch_own_line -s V -l version -d 'The version'
