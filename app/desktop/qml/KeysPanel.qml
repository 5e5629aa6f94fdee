// What the keys do.
import QtQuick
import QtQuick.Layouts
import Olivine

Panel {
    title: qsTr("Keys")
    wanted_width: 480 * Theme.zoom
    GridLayout {
        columns: 2
        columnSpacing: Theme.spacing * 2
        rowSpacing: Theme.spacing * 0.5
        Repeater {
            model: [
                [App.preferences.enterSends ? "Enter" : "Ctrl+Enter", qsTr("send the question")],
                [App.preferences.enterSends ? "Shift+Enter" : "Enter", qsTr("a new line")],
                ["Esc", qsTr("stop the answer")],
                ["Ctrl+N", qsTr("new conversation")],
                ["Ctrl+F", qsTr("search everything")],
                ["Ctrl+R", qsTr("another answer")],
                ["Ctrl+G", qsTr("go on with the answer")],
                ["↑", qsTr("edit the last question, where nothing is typed")],
                ["Ctrl+O", qsTr("add a picture; Ctrl+V pastes one")],
                ["Ctrl+M", qsTr("choose a model")],
                ["Ctrl+,", qsTr("settings")],
                ["Ctrl+B", qsTr("show or hide the conversations")],
                ["Ctrl+↑ Ctrl+↓", qsTr("the conversation above, below")],
                ["Ctrl+Shift+C", qsTr("copy the last answer")],
                ["Ctrl+Shift+L", qsTr("light or dark")],
                ["Ctrl++ Ctrl+− Ctrl+0", qsTr("larger, smaller, as usual")],
                ["Page Up, Page Down", qsTr("scroll")],
                ["F2, Del", qsTr("rename, remove a conversation in the list")],
                ["F1", qsTr("this list")],
                ["Ctrl+Q", qsTr("quit")]
            ].flat()
            Text {
                required property string modelData
                required property int index
                text: modelData
                color: index % 2 ? Theme.text : Theme.accent
                font.pixelSize: Theme.small * 1.08
                font.weight: index % 2 ? Font.Normal : Font.DemiBold
            }
        }
    }
}
