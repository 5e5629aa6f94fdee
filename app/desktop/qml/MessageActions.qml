// What can be done with a message.
import QtQuick
import QtQuick.Layouts
import Olivine

RowLayout {
    id: actions
    required property Item subject
    readonly property bool busy: subject.busy
    readonly property real size: Theme.control * 0.85
    spacing: 0

    IconButton {
        objectName: "previousSibling"
        visible: actions.subject.siblings > 1
        name: qsTr("Previous version")
        symbol: "left"
        size: actions.size
        enabled: actions.subject.sibling > 1 && !actions.busy
        onClicked: App.conversation.show_sibling(actions.subject.index, -1)
    }
    Text {
        objectName: "siblings"
        visible: actions.subject.siblings > 1
        text: actions.subject.sibling + "/" + actions.subject.siblings
        color: Theme.muted
        font.pixelSize: Theme.small
        Accessible.name: qsTr("Version %1 of %2").arg(actions.subject.sibling).arg(actions.subject.siblings)
    }
    IconButton {
        objectName: "nextSibling"
        visible: actions.subject.siblings > 1
        name: qsTr("Next version")
        symbol: "right"
        size: actions.size
        enabled: actions.subject.sibling < actions.subject.siblings && !actions.busy
        onClicked: App.conversation.show_sibling(actions.subject.index, 1)
    }
    IconButton {
        objectName: "copyMessage"
        name: copied.running ? qsTr("Copied") : qsTr("Copy")
        symbol: copied.running ? "check" : "copy"
        size: actions.size
        onClicked: {
            App.conversation.copy(actions.subject.body)
            copied.restart()
        }
        Timer { id: copied; interval: 2000 }
    }
    IconButton {
        objectName: "editMessage"
        name: qsTr("Edit")
        symbol: "edit"
        size: actions.size
        enabled: !actions.busy && !actions.subject.huge
        onClicked: actions.subject.edit()
    }
    IconButton {
        objectName: "regenerate"
        visible: !actions.subject.fromUser
        name: qsTr("Another answer")
        hint: actions.subject.last ? "Ctrl+R" : ""
        symbol: "again"
        size: actions.size
        enabled: !actions.busy
        onClicked: App.conversation.regenerate(actions.subject.index)
    }
    IconButton {
        objectName: "goOn"
        visible: actions.subject.last && actions.subject.progress !== "failed"
        name: actions.subject.fromUser ? qsTr("Answer this") : qsTr("Go on")
        hint: "Ctrl+G"
        symbol: "play"
        size: actions.size
        enabled: !actions.busy
        onClicked: App.conversation.go_on()
    }
    IconButton {
        objectName: "removeTurn"
        name: qsTr("Remove this and what follows")
        symbol: "trash"
        size: actions.size
        enabled: !actions.busy
        onClicked: actions.subject.removal_wanted()
    }
    Text {
        readonly property string progress: actions.subject.progress
        visible: text !== ""
        text: actions.subject.fromUser ? ""
            : [progress === "stopped" ? qsTr("stopped") : progress === "cut" ? qsTr("cut by a limit")
               : progress === "unfinished" ? qsTr("not finished") : "", actions.subject.speed].filter(part => part).join(" · ")
        color: Theme.muted
        font.pixelSize: Theme.small
        leftPadding: Theme.spacing
    }
}
