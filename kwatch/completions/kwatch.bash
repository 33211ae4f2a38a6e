# bash completion for kwatch(1). Works without the bash-completion package.

_kwatch_files() {
    local file
    compopt -o filenames 2>/dev/null
    while IFS= read -r file; do
        COMPREPLY+=("$file")
    done < <(compgen -f -- "$1")
}

_kwatch() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev= before= word i
    local kinds="all created deleted modified replaced attrib moved rescanned root-gone root-back
        ready unmounted degraded error"
    COMPREPLY=()
    ((COMP_CWORD > 0)) && prev=${COMP_WORDS[COMP_CWORD - 1]}

    # After "--" it is another command's line.
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == -- ]]; then
            if ((i == COMP_CWORD - 1)); then
                COMPREPLY=($(compgen -c -- "$cur"))
            else
                compopt -o default 2>/dev/null
            fi
            return
        fi
    done

    # --option=value comes as three words.
    if [[ $prev == = ]] && ((COMP_CWORD > 1)); then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    elif [[ $cur == = && $prev == --* ]]; then
        cur=
    fi

    case $prev in
    -k | --kinds)
        # A list: what is before the last comma stays.
        [[ $cur == *,* ]] && before=${cur%,*},
        COMPREPLY=($(compgen -P "$before" -W "$kinds" -- "${cur##*,}"))
        compopt -o nospace 2>/dev/null
        return
        ;;
    --color)
        if [[ ${COMP_WORDS[COMP_CWORD - 1]} == = || ${COMP_WORDS[COMP_CWORD]} == = ]]; then
            COMPREPLY=($(compgen -W "always never auto" -- "$cur"))
            return
        fi
        ;;
    --signal)
        COMPREPLY=($(compgen -W "HUP INT QUIT TERM USR1 USR2 KILL" -- "$cur"))
        return
        ;;
    --since | --save)
        _kwatch_files "$cur"
        return
        ;;
    -e | --exclude | -i | --include | -f | --format | -s | --settle | --settle-max | -t | \
        --timeout | --depth | --kill-after | --poll-interval | --sync-interval | --threads | \
        --watch-limit)
        return
        ;;
    esac

    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "--no-recursive --depth --exclude --include --gitignore
            --no-hidden --dirs-only --one-file-system --wait --kinds --initial
            --expand-moves --dir-modified --settle --settle-max --since --save --once
            --timeout --json --format --print0 --color --stats --quiet --verbose --restart
            --signal --kill-after --no-initial-run --clear --print --poll --poll-interval
            --sync-all --sync-interval --threads --watch-limit --help --version" -- "$cur"))
        return
    fi
    _kwatch_files "$cur"
}

complete -F _kwatch kwatch
